//! Requests to services of the platform, and their failures.

use biped_config::{ConfigTable, FieldType};
use biped_core::{
    Error, ErrorKind, FetchContext, SecretString, VendorError, check_platform, is_loopback, wire,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;
use url::Url;

/// A request to a service of the platform.
pub(crate) struct Request<'a> {
    /// The source, as errors call it.
    pub(crate) name: &'a str,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// Sent by POST if there is one.
    pub(crate) body: Option<Bytes>,
    /// Whether it goes to a metadata server, which says 404 while it starts.
    pub(crate) is_metadata: bool,
}

impl<'a> Request<'a> {
    pub(crate) fn get(name: &'a str, url: Url) -> Self {
        Self {
            name,
            url,
            headers: HeaderMap::new(),
            body: None,
            is_metadata: false,
        }
    }

    pub(crate) fn at_metadata_server(mut self) -> Self {
        self.is_metadata = true;
        self
    }

    /// Adds a header that is not a secret.
    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        let value = HeaderValue::from_static(value);
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    /// Adds a header that holds a secret. `what` names it in errors.
    pub(crate) fn secret_header(
        mut self,
        name: HeaderName,
        value: &str,
        what: &str,
    ) -> Result<Self, Error> {
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            Error::secret(format!(
                "{what} contains a character that a header can't hold"
            ))
        })?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Sends the request. The response has a success status.
    pub(crate) async fn send(self, cx: &FetchContext<'_>) -> Result<http::Response<Bytes>, Error> {
        let (name, is_metadata) = (self.name, self.is_metadata);
        let response = self.send_for_any(cx).await?;
        match response.status().is_success() {
            true => Ok(response),
            false => Err(failure(name, &response, is_metadata, cx)),
        }
    }

    /// Sends the request. The response may have any status.
    pub(crate) async fn send_for_any(
        self,
        cx: &FetchContext<'_>,
    ) -> Result<http::Response<Bytes>, Error> {
        let mut request = http::Request::new(Bytes::new());
        *request.uri_mut() = self.url.as_str().parse().map_err(|_| {
            Error::secret(format!("the address of {} is not a valid URL", self.name))
        })?;
        *request.headers_mut() = self.headers;
        if let Some(body) = self.body {
            *request.method_mut() = Method::POST;
            *request.body_mut() = body;
        }
        let name = self.name;
        cx.keep_refusal();
        cx.ask_platform(request).await.map_err(|error| {
            let message = match error.kind() {
                ErrorKind::Unreachable => format!("{name} can't be reached: {}", error.message()),
                _ => format!("{name}: {}", error.message()),
            };
            let transient = matches!(
                error.kind(),
                ErrorKind::Unreachable | ErrorKind::InvalidResponse
            );
            error.with_message(message).transient(transient)
        })
    }
}

/// What a failed response means.
pub(crate) fn failure(
    name: &str,
    response: &http::Response<Bytes>,
    is_metadata: bool,
    cx: &FetchContext<'_>,
) -> Error {
    let status = response.status();
    let vendor = words(response);
    let starts = is_metadata && matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE);
    if wire::is_transient(status) || starts {
        let wait = wire::retry_after(response.headers(), cx.now());
        return Error::unavailable(vendor)
            .with_message(format!("{name} is temporarily unavailable"))
            .with_retry_after(wait);
    }
    if status.is_redirection() {
        return no_token(name, "answered with a redirect, which is not followed")
            .with_vendor(VendorError::new(status.as_u16()));
    }
    Error::secret(format!("{name} refused to give a token")).with_vendor(vendor)
}

/// The error for a response without a token.
pub(crate) fn no_token(name: &str, what: &str) -> Error {
    Error::invalid_response(format!("{name} {what}")).transient(true)
}

/// What a platform says about its failure.
fn words(response: &http::Response<Bytes>) -> VendorError {
    let vendor = VendorError::new(response.status().as_u16());
    let Ok(said) = wire::json(response) else {
        // A metadata server says it in a plain text; a page is from a proxy.
        let text = std::str::from_utf8(response.body()).unwrap_or_default();
        return match text.trim() {
            "" => vendor,
            page if page.starts_with('<') => vendor,
            text => vendor.message(text),
        };
    };
    let error = &said["error"];
    let (code, message) = match error.is_object() {
        true => (&error["code"], &error["message"]),
        false => (error, &said["error_description"]),
    };
    let mut vendor = vendor;
    if let Some(code) = wire::text(code) {
        vendor = vendor.code(code);
    }
    let message = wire::text(message).or_else(|| wire::text(&said["message"]));
    match message {
        Some(message) => vendor.message(message),
        None => vendor,
    }
}

/// A text of a JSON response.
pub(crate) fn member(
    name: &str,
    response: &http::Response<Bytes>,
    member: &str,
) -> Result<(SecretString, Value), Error> {
    let answer = wire::json(response).map_err(|error| {
        no_token(
            name,
            &format!("answered without a token: {}", error.message()),
        )
    })?;
    match answer[member].as_str() {
        Some(text) => Ok((text.into(), answer)),
        None => Err(no_token(name, &format!("answered without {member}"))),
    }
}

/// The whole text of a response, without white space around it.
pub(crate) fn whole(name: &str, response: &http::Response<Bytes>) -> Result<SecretString, Error> {
    let text = std::str::from_utf8(response.body())
        .map_err(|_| no_token(name, "answered with something that is not a token"))?
        .trim();
    // A page for people: a proxy or a login stands before the service.
    if text.starts_with('<') {
        return Err(no_token(name, "answered with a page, not a token"));
    }
    Ok(text.into())
}

/// Reads the configured place of a platform's service, and notes one that must not be asked.
pub(crate) fn endpoint(table: &ConfigTable) -> Option<Url> {
    let text = table.string("endpoint")?;
    let url = Url::parse(text.trim()).ok().filter(is_fixed);
    table.checked("endpoint", url, ENDPOINT, |_| true)
}

const ENDPOINT: &str = "an https URL, or http to this machine, to http://169.254.169.254 or to \
                        http://metadata.google.internal";

/// Whether a configured address or a variable's may be asked: https, loopback, or one of the two fixed
/// addresses at port 80.
pub(crate) fn is_fixed(url: &Url) -> bool {
    let fixed = ["169.254.169.254", "metadata.google.internal"];
    let is_fixed = url.host_str().is_some_and(|host| fixed.contains(&host))
        && url.port_or_known_default() == Some(80);
    let is_plain = url.scheme() == "http" && !is_loopback(url);
    check_platform(url).is_ok() && (!is_plain || is_fixed)
}

/// The address in a variable.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The address in a variable, if it may be asked.
pub(crate) fn address_of(
    variable: &str,
    text: &str,
    may: impl FnOnce(&Url) -> bool,
) -> Result<Url, Error> {
    let url = Url::parse(text.trim()).ok().filter(may);
    url.ok_or_else(|| {
        let message = format!("the environment variable {variable} does not hold a usable address");
        Error::secret(message).with_remedy(
            "set it to an https URL, to http on this machine, or to the platform's own address",
        )
    })
}

/// `base` with further segments in its path. They are encoded.
pub(crate) fn below<'s>(mut base: Url, segments: impl IntoIterator<Item = &'s str>) -> Url {
    if let Ok(mut path) = base.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    base
}

/// Notes the keys of a table that its source doesn't take, and values of another type.
pub(crate) fn check(table: &ConfigTable, fields: &[biped_config::Field]) {
    table.check(fields);
}

/// The audience that a source asks for.
pub(crate) const AUDIENCE: biped_config::Field =
    biped_config::Field::new("audience", FieldType::Text);
