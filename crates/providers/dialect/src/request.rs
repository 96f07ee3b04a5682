//! Building a request from a [`Step`] and values: a pure function.

use std::borrow::Cow;

use base64::Engine as _;
use biped_core::{Error, SecretString, check_secure};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;

use crate::{
    fill::{Fill, needed},
    jwt,
    step::{Auth, Encoding, Header, HeaderTitle, Step},
    template::{Template, Values},
};

/// A request, and its URL.
pub(crate) struct Built {
    pub(crate) request: http::Request<Bytes>,
    /// The URL without the parameters that were appended to the query.
    pub(crate) url: Url,
    /// The signed JWT in it.
    pub(crate) assertion: Option<SecretString>,
}

impl Step {
    /// Signs the JWT that is the token.
    pub(crate) fn sign(&self, values: &Values<'_>) -> Result<String, Error> {
        let address = self.url.render(values);
        let values = &Values {
            url: address.as_deref(),
            ..*values
        };
        match &self.jwt {
            Some(jwt) => jwt::sign(jwt, values),
            None => Err(Error::internal("a token is signed without [jwt]")),
        }
    }

    /// Builds the request. `elsewhere` replaces the URL of the file.
    pub(crate) fn build(
        &self,
        values: &Values<'_>,
        elsewhere: Option<&str>,
    ) -> Result<Built, Error> {
        let address = match elsewhere {
            Some(url) => Cow::Borrowed(url),
            None => needed(&self.url, values)?,
        };
        let values = &Values {
            url: Some(&address),
            ..*values
        };
        // What the configuration names in its place was checked by its reader.
        let url = match elsewhere {
            Some(_) => Url::parse(&address).map_err(|_| not_valid())?,
            None => parsed(&address)?,
        };
        let assertion = self
            .jwt
            .as_ref()
            .map(|jwt| jwt::sign(jwt, values))
            .transpose()?;
        let fill = Fill {
            values,
            assertion: assertion.as_deref(),
        };

        let mut pairs = fill.pairs(&self.query)?;
        let body = match self.encoding {
            Encoding::Form => {
                let pairs = fill.pairs(&self.fields)?;
                let form = url::form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(pairs)
                    .finish();
                Some((FORM, form.into_bytes()))
            }
            Encoding::Json => Some((JSON, fill.json(&self.fields)?)),
            Encoding::Query => {
                pairs.extend(fill.pairs(&self.fields)?);
                None
            }
            Encoding::Text => match &self.body {
                Some(body) => Some((TEXT, needed(body, values)?.into_owned().into_bytes())),
                None => None,
            },
            Encoding::None => None,
        };
        let mut target = url.clone();
        if !pairs.is_empty() {
            target.query_pairs_mut().extend_pairs(pairs);
        }
        target.set_fragment(None);
        let mut request = http::Request::builder()
            .method(&self.method)
            .uri(target.as_str())
            .body(Bytes::new())
            .map_err(|_| Error::configuration("the vendor's URL is not a valid URI"))?;
        let headers = request.headers_mut();
        let accept = if self.reads.is_text {
            "*/*"
        } else {
            "application/json"
        };
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        if let Some((kind, _)) = &body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        match &self.auth {
            Auth::Basic { user, password } => {
                let value = basic(&needed(user, values)?, &needed(password, values)?)?;
                headers.insert(header::AUTHORIZATION, value);
            }
            Auth::Bearer => {
                let value = format!("Bearer {}", assertion.as_deref().unwrap_or_default());
                headers.insert(
                    header::AUTHORIZATION,
                    sensitive(&header::AUTHORIZATION, &value)?,
                );
            }
            Auth::InFields | Auth::Nowhere => {}
        }
        for header in &self.headers {
            header.put(values, headers)?;
        }
        if let Some((_, bytes)) = body {
            *request.body_mut() = bytes.into();
        }
        Ok(Built {
            request,
            url,
            assertion: assertion.map(Into::into),
        })
    }
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain";

/// Parses the URL of a request. It may contain a secret, so no error shows it.
fn parsed(address: &str) -> Result<Url, Error> {
    let url = Url::parse(address).map_err(|_| not_valid())?;
    // The original error would show the URL.
    check_secure(&url).map_err(|_| {
        Error::configuration("the vendor's URL is not https, or contains a user name")
            .with_remedy("use an https URL without a user name (http only to this machine)")
    })?;
    Ok(url)
}

fn not_valid() -> Error {
    Error::configuration("the vendor's URL is not valid with these parameters")
        .with_remedy("check the parameters that are part of it")
}

/// `Basic` with these two (RFC 7617).
pub(crate) fn basic(user: &str, password: &str) -> Result<HeaderValue, Error> {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    sensitive(&header::AUTHORIZATION, &format!("Basic {pair}"))
}

impl Header {
    /// Adds the header to `headers`, unless an optional parameter of it has no value. The value is
    /// marked as sensitive, unless the file contains it literally.
    pub(crate) fn put(&self, values: &Values<'_>, headers: &mut HeaderMap) -> Result<(), Error> {
        let Some(text) = self.value.render(values) else {
            return Ok(());
        };
        let name = match &self.name {
            HeaderTitle::Fixed(name) => name.clone(),
            HeaderTitle::Made(template) => match template.render(values) {
                Some(name) => name.parse().map_err(|_| unfit_name(template))?,
                None => return Ok(()),
            },
        };
        let mut value = sensitive(&name, &text)?;
        value.set_sensitive(!self.value.is_fixed());
        headers.insert(name, value);
        Ok(())
    }

    /// The templates in it.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &Template> {
        let name = match &self.name {
            HeaderTitle::Fixed(_) => None,
            HeaderTitle::Made(template) => Some(template),
        };
        name.into_iter().chain([&self.value])
    }
}

fn unfit_name(template: &Template) -> Error {
    let names: Vec<_> = template.names().collect();
    Error::configuration(format!(
        "{}: expected a value that is valid in a header name",
        names.join(" and ")
    ))
}

fn sensitive(name: &HeaderName, text: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        Error::configuration(format!("the value of the header {name} is not valid"))
            .with_remedy("remove line breaks and control characters from the configured values")
    })?;
    value.set_sensitive(true);
    Ok(value)
}
