//! Comparing the requests and tokens of a dialect with those of its example.

use std::borrow::Cow;

use base64::Engine as _;
use biped_core::{ApiRequest, ApiRequestParts, Error, NoLifetime, wire};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, header};
use serde_json::Value;
use url::Url;

use super::{Difference, ExpectedBody, ExpectedRequest};
use crate::answer::built_in_url;

/// The differences so far. They show no secret of the example.
pub(crate) struct Differences {
    /// The secrets, and their names in braces.
    hidden: Vec<(wire::Redactor, String)>,
    pub(crate) found: Vec<Difference>,
    /// Why the lifetime of the token is assumed.
    pub(crate) assumed: Option<NoLifetime>,
}

impl Differences {
    pub(crate) fn hiding(secrets: Vec<(String, String)>) -> Self {
        let hidden = secrets
            .into_iter()
            .map(|(name, value)| (wire::Redactor::new([&*value]), format!("{{{name}}}")));
        Self {
            hidden: hidden.collect(),
            found: Vec::new(),
            assumed: None,
        }
    }

    pub(crate) fn add(&mut self, line: usize, what: &str, expected: &str, actual: &str) {
        self.found.push(Difference {
            line,
            what: what.to_owned(),
            expected: self.shown(expected),
            actual: self.shown(actual),
        });
    }

    pub(crate) fn compare(&mut self, line: usize, what: &str, expected: &str, actual: &str) {
        if expected != actual {
            let quoted = |text: &str| format!("`{text}`");
            self.add(line, what, &quoted(expected), &quoted(actual));
        }
    }

    fn shown(&self, text: &str) -> String {
        self.hidden
            .iter()
            .fold(text.to_owned(), |text, (secret, name)| {
                secret.replaced(&text, name).into_owned()
            })
    }
}

/// Compares a request. The example writes a signed JWT as `{jwt}`.
pub(crate) fn request(
    expected: &ExpectedRequest,
    actual: &http::Request<Bytes>,
    found: &mut Differences,
) {
    let line = expected.line;
    let texts = Texts::of(actual);
    let method = expected.method.as_deref().unwrap_or("POST");
    found.compare(line, "request.method", method, actual.method().as_str());
    match &expected.url {
        Some(url) => found.compare(line, "request.url", url, &texts.url),
        None => found.add(line, "request.url", "a URL", "none"),
    }
    headers(
        line,
        "request.headers",
        &expected.headers,
        &texts.headers,
        found,
    );
    match &expected.body {
        ExpectedBody::Empty => found.compare(line, "request", "", &texts.body),
        ExpectedBody::Form(form) => {
            let kind = content_type(actual);
            found.compare(line, "request", "application/x-www-form-urlencoded", kind);
            found.compare(line, "request.form", form, &texts.body);
        }
        ExpectedBody::Text(text) => found.compare(line, "request.text", text, &texts.body),
        ExpectedBody::Json(json) => {
            let actual: Value = serde_json::from_str(&texts.body).unwrap_or_default();
            if *json != actual {
                found.compare(line, "request.json", &json.to_string(), &actual.to_string());
            }
        }
    }
    let parts = (&expected.jwt_header, &expected.jwt_claims);
    jwt(line, "request.jwt", parts, texts.jwt.as_deref(), found);
}

/// Compares the header and the claims of a JWT.
pub(crate) fn jwt(
    line: usize,
    what: &str,
    (header, claims): (&Option<Value>, &Option<Value>),
    actual: Option<&str>,
    found: &mut Differences,
) {
    for (name, part, expected) in [("header", 0, header), ("claims", 1, claims)] {
        if let Some(expected) = expected {
            let actual = actual.and_then(|jwt| decoded(jwt, part));
            let actual = actual.unwrap_or_default();
            if *expected != actual {
                let what = format!("{what}.{name}");
                found.compare(line, &what, &expected.to_string(), &actual.to_string());
            }
        }
    }
}

/// Compares all headers; those that the encoding sets only if the example names them.
pub(crate) fn headers(
    line: usize,
    what: &str,
    expected: &[(HeaderName, String)],
    actual: &[(HeaderName, String)],
    found: &mut Differences,
) {
    for (name, text) in expected {
        let value = actual.iter().find(|(known, _)| known == name);
        let value = value.map_or("missing", |(_, value)| value.as_str());
        found.compare(line, &format!("{what}.{name}"), text, value);
    }
    for (name, value) in actual {
        let follows = [header::ACCEPT, header::CONTENT_TYPE].contains(name);
        if !follows && !expected.iter().any(|(known, _)| known == name) {
            found.add(
                line,
                &format!("{what}.{name}"),
                "nothing",
                &format!("`{value}`"),
            );
        }
    }
}

/// A request as texts, with `{jwt}` in place of its JWT.
struct Texts {
    url: String,
    headers: Vec<(HeaderName, String)>,
    body: String,
    jwt: Option<String>,
}

impl Texts {
    fn of(request: &http::Request<Bytes>) -> Self {
        let mut texts = Self {
            url: request.uri().to_string(),
            headers: in_texts(request.headers()),
            body: String::from_utf8_lossy(request.body()).into_owned(),
            jwt: None,
        };
        let values = texts.headers.iter().map(|(_, value)| value);
        let jwt = values
            .chain([&texts.url, &texts.body])
            .find_map(|text| find_jwt(text))
            .map(str::to_owned);
        if let Some(jwt) = &jwt {
            let out = |text: &String| text.replace(jwt.as_str(), "{jwt}");
            texts.url = out(&texts.url);
            texts.body = out(&texts.body);
            for (_, value) in &mut texts.headers {
                *value = out(value);
            }
        }
        texts.jwt = jwt;
        texts
    }
}

fn in_texts(headers: &HeaderMap) -> Vec<(HeaderName, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.clone(), text)
        })
        .collect()
}

fn content_type(request: &http::Request<Bytes>) -> &str {
    let value = request.headers().get(header::CONTENT_TYPE);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or("missing")
}

/// The first word that is a signed JWT with `iat`.
fn find_jwt(text: &str) -> Option<&str> {
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.split(|c| !inside(c))
        .find(|word| decoded(word, 1).is_some_and(|claims| claims.get("iat").is_some()))
}

/// One part of a JWT.
fn decoded(jwt: &str, part: usize) -> Option<Value> {
    if jwt.split('.').count() != 3 {
        return None;
    }
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(jwt.split('.').nth(part)?)
        .ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// An API request with a token attached.
pub(crate) struct Attached {
    url: Url,
    pub(crate) headers: Vec<(HeaderName, String)>,
}

impl Attached {
    pub(crate) fn query(&self) -> String {
        self.url.query().unwrap_or_default().to_owned()
    }
}

/// Attaches to an empty request.
pub(crate) fn attached(
    attach: impl FnOnce(&mut ApiRequest<'_>) -> Result<(), Error>,
) -> Result<Attached, Error> {
    struct Plain {
        url: Url,
        headers: HeaderMap,
    }
    impl ApiRequestParts for Plain {
        fn method(&self) -> &Method {
            &Method::GET
        }
        fn url(&self) -> Cow<'_, Url> {
            Cow::Borrowed(&self.url)
        }
        fn set_url(&mut self, url: Url) -> Result<(), Error> {
            self.url = url;
            Ok(())
        }
        fn headers_mut(&mut self) -> &mut HeaderMap {
            &mut self.headers
        }
        fn body(&self) -> Option<&[u8]> {
            Some(&[])
        }
    }
    let mut parts = Plain {
        url: built_in_url("https://api.vendor.example/")?,
        headers: HeaderMap::new(),
    };
    attach(&mut ApiRequest::new(&mut parts))?;
    Ok(Attached {
        url: parts.url,
        headers: in_texts(&parts.headers),
    })
}
