//! Reading what vendors write: the decoding that every provider needs, tolerant where vendors
//! differ and strict where it protects.
//!
//! Nothing here panics, whatever the input, and no error here holds the input.

use std::{borrow::Cow, fmt::Write as _, time::Duration};

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};
use url::Url;

use crate::{BaseUrls, Error, ErrorKind, MAX_LIFETIME, Timestamp, VendorError};

pub use biped_redact::{Escaped, Redactor, VENDOR_TEXT_LIMIT, escaped, vendor_text};

/// The JSON of an answer, whatever its content type says. Where its texts are not UTF-8, the rest of
/// it counts all the same.
///
/// # Errors
/// [`Unusable`](crate::ErrorKind::InvalidResponse): transient where the body is empty.
pub fn json(response: &http::Response<Bytes>) -> Result<Value, Error> {
    let body = response.body().trim_ascii();
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if body.is_empty() {
        return Err(invalid_response(response, "the answer has no body").transient(true));
    }
    let read = match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_str(&String::from_utf8_lossy(body)),
    };
    read.map_err(|_| {
        let what = match response.headers().get(header::CONTENT_ENCODING) {
            _ if body.starts_with(b"<") => "HTML or XML instead of JSON",
            Some(coding) if coding != "identity" => "compressed, which was not asked for",
            _ => "not JSON, or cut off",
        };
        invalid_response(response, format!("the answer is {what}")).with_remedy("check the URL")
    })
}

/// The error for an answer that is neither a token nor an error, with its status. The text says
/// what was missing, never what was there.
#[must_use]
pub fn invalid_response(
    response: &http::Response<Bytes>,
    message: impl Into<Cow<'static, str>>,
) -> Error {
    Error::invalid_response(message).with_vendor(VendorError::new(response.status().as_u16()))
}

/// The same error with the status of the answer that it is about, where it names none: for what is
/// found wrong after the answer was read.
#[must_use]
pub fn with_status(error: Error, response: &http::Response<Bytes>) -> Error {
    if error.kind() != ErrorKind::InvalidResponse || error.vendor().is_some() {
        return error;
    }
    error.with_vendor(VendorError::new(response.status().as_u16()))
}

/// The error that a failed answer stands for, by its status and the vendor's words (see
/// [`ErrorKind`] for the rules), with its `Retry-After`.
#[must_use]
pub fn failure(response: &http::Response<Bytes>, vendor: VendorError, now: Timestamp) -> Error {
    let status = response.status();
    let retry_after = retry_after(response.headers(), now);
    if is_transient(status) {
        return Error::unavailable(vendor).with_retry_after(retry_after);
    }
    if status.is_redirection() {
        return invalid_response(response, "the token endpoint answered with a redirect")
            .with_remedy(
                "redirects are never followed with a secret; configure the final address",
            );
    }
    Error::refused(vendor).with_retry_after(retry_after)
}

/// Whether an answer with this status may be different later: 408, 425, 429, 5xx.
#[must_use]
pub fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error()
}

/// The `Retry-After` of an answer (RFC 9110 §10.2.3): seconds or an HTTP date. A point that has
/// passed is zero, what lies beyond a year is a year, and nonsense is `None`.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<f64>() {
        Ok(seconds) if seconds.is_nan() => return None,
        Ok(seconds) => Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX),
        Err(_) => Timestamp::from(httpdate::parse_http_date(text).ok()?).since(now),
    };
    Some(wait.min(MAX_LIFETIME))
}

/// A number of seconds, written as a number (whole or not) or as a string. Zero and less count as
/// silence; what lies beyond a year is a year.
#[must_use]
pub fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    if seconds.is_nan() || seconds <= 0.0 {
        return None;
    }
    let life = Duration::try_from_secs_f64(seconds).unwrap_or(MAX_LIFETIME);
    (!life.is_zero()).then(|| life.min(MAX_LIFETIME))
}

/// A string, or a number as one: vendors write codes either way.
#[must_use]
pub fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

/// A whole number, written as a number or as a string.
#[must_use]
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A scope: one string, or a list of them.
#[must_use]
pub fn scope(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(all) => Some(
            all.iter()
                .map(Value::as_str)
                .collect::<Option<Vec<_>>>()?
                .join(" "),
        ),
        _ => None,
    }
}

/// An object, or a string that holds the JSON of one.
#[must_use]
pub fn object(value: &Value) -> Option<Cow<'_, Map<String, Value>>> {
    match value {
        Value::Object(object) => Some(Cow::Borrowed(object)),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::Object(object)) => Some(Cow::Owned(object)),
            _ => None,
        },
        _ => None,
    }
}

/// The `exp` of a JWT (RFC 7519 §4.1.4), unverified: the token is not ours to verify.
#[must_use]
pub fn jwt_expiry(token: &str) -> Option<Timestamp> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || payload.len() > 64 * 1024 {
        return None;
    }
    let payload = payload.trim_end_matches('=');
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload)
        .ok()?;
    #[derive(serde::Deserialize)]
    struct Claims {
        exp: f64,
    }
    let Claims { exp } = serde_json::from_slice(&bytes).ok()?;
    #[allow(clippy::cast_possible_truncation)] // a cast saturates
    exp.is_finite()
        .then(|| Timestamp::from_unix_seconds(exp as i64))
}

/// Checks a base URL that a vendor's answer names, before a token is ever sent there:
/// [`BaseUrls::at`] these hosts, read.
///
/// # Errors
/// [`Unusable`](crate::ErrorKind::InvalidResponse), saying what is wrong with it.
pub fn base_url(text: &str, hosts: &[impl AsRef<str>], token_endpoint: &Url) -> Result<Url, Error> {
    BaseUrls::at(hosts, token_endpoint).read(text)
}

/// Whether `host` is `pattern`, or below it where the pattern starts with `*.`.
#[must_use]
pub fn host_matches(host: &str, pattern: &str) -> bool {
    crate::base_urls::host_matches(host, pattern)
}

/// A text percent-encoded: everything but letters, digits and `-._~` as `%XX` (RFC 3986 §2.3); a space
/// is `%20`.
#[must_use]
pub fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
