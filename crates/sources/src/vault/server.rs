//! [`Server`]: requests to an OpenBao or Vault server, and their failures.

use biped_core::{Error, ErrorKind, FetchContext, VendorError, check_secure, wire};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use url::Url;

use super::settings::VaultSettings;
use crate::platform::{below, variable};

const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");

/// The variables that name the server if the configuration does not.
const ADDRESSES: [&str; 2] = ["VAULT_ADDR", "BAO_ADDR"];

/// A server, as requests see it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) settings: VaultSettings,
}

impl Server {
    pub(super) fn new(settings: VaultSettings) -> Self {
        Self { settings }
    }

    /// A request without a token. A body is JSON, and sent by POST.
    pub(super) fn request(
        &self,
        segments: &[&str],
        body: Option<Bytes>,
    ) -> Result<http::Request<Bytes>, Error> {
        let url = below(self.address()?, ["v1"].iter().chain(segments).copied());
        let mut request = http::Request::new(Bytes::new());
        if let Some(body) = body {
            *request.method_mut() = Method::POST;
            *request.body_mut() = body;
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        *request.uri_mut() = url
            .as_str()
            .parse()
            .map_err(|_| Error::secret("the vault's address is not a valid URL"))?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(namespace) = &self.settings.namespace {
            let value = HeaderValue::from_str(namespace)
                .map_err(|_| Error::configuration("the vault's namespace is not valid"))?;
            headers.insert(NAMESPACE, value);
        }
        Ok(request)
    }

    fn address(&self) -> Result<Url, Error> {
        if let Some(address) = &self.settings.address {
            return Ok(address.clone());
        }
        let Some((name, text)) = in_environment() else {
            return Err(Error::secret("the vault's address is not known")
                .with_remedy("set address in [vault], or the environment variable VAULT_ADDR"));
        };
        let url = Url::parse(text.trim()).ok();
        url.filter(|url| check_secure(url).is_ok() && url.query().is_none())
            .ok_or_else(|| {
                let message =
                    format!("the environment variable {name} does not hold a usable address");
                Error::secret(message)
                    .with_remedy("set it to an https URL, or to http on this machine")
            })
    }
}

/// The variable that names the server, and its text.
fn in_environment() -> Option<(&'static str, String)> {
    let mut named = ADDRESSES.into_iter();
    named.find_map(|name| Some((name, variable(name)?)))
}

/// The address as it tells this server from others.
pub(super) fn address_text(settings: &VaultSettings) -> String {
    let configured = settings.address.as_ref().map(Url::to_string);
    let text = configured.or_else(|| in_environment().map(|(_, text)| text));
    // Of two spellings of one address the parser makes one.
    let text = text.unwrap_or_default();
    Url::parse(text.trim()).map_or(text, |url| url.to_string())
}

/// Sends a request, which has the time of a platform's. The response may have any status.
pub(super) async fn send(
    request: http::Request<Bytes>,
    name: &str,
    cx: &FetchContext<'_>,
) -> Result<http::Response<Bytes>, Error> {
    let answered = cx.ask_platform(request).await;
    answered.map_err(|error| match error.kind() {
        ErrorKind::Unreachable => {
            let message = format!("the vault can't be reached for {name}: {}", error.message());
            error.with_message(message).transient(true)
        }
        ErrorKind::InvalidResponse => {
            let message = format!("the vault can't return {name}: {}", error.message());
            error.with_message(message).transient(true)
        }
        _ => error,
    })
}

/// What a failed response means.
pub(super) fn failure(
    name: &str,
    response: &http::Response<Bytes>,
    cx: &FetchContext<'_>,
) -> Error {
    let status = response.status();
    let vendor = words(response, cx);
    if wire::is_transient(status) {
        let wait = wire::retry_after(response.headers(), cx.now());
        return Error::unavailable(vendor)
            .with_message(format!("the vault is temporarily unavailable for {name}"))
            .with_retry_after(wait);
    }
    if status.is_redirection() {
        return no_answer(name, "a redirect, which is not followed").with_vendor(vendor);
    }
    Error::secret(format!("the vault refused the request for {name}")).with_vendor(vendor)
}

/// What the server says about its failure, without what opens it.
pub(super) fn words(response: &http::Response<Bytes>, cx: &FetchContext<'_>) -> VendorError {
    let vendor = VendorError::new(response.status().as_u16());
    let said = wire::json(response).unwrap_or_default();
    let all = said["errors"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let all: Vec<_> = all.iter().filter_map(|text| text.as_str()).collect();
    match all.is_empty() {
        true => vendor,
        false => vendor.message(cx.redactor().redacted(&all.join("; "))),
    }
}

/// The error for a response that is not the server's.
pub(super) fn no_answer(name: &str, what: &str) -> Error {
    let message = format!("the vault responded to the request for {name} with {what}");
    Error::invalid_response(message).transient(true)
}
