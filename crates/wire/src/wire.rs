//! Reads what vendors write: the decoding that every provider needs, tolerant where vendors differ and
//! strict where that protects.
//!
//! No input makes these functions panic, and no error contains the input.

use std::{borrow::Cow, fmt::Write as _, time::Duration};

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};
use url::Url;

use biped_error::{Error, ErrorKind, Timestamp, VendorError};

use crate::{BaseUrls, MAX_LIFETIME};

pub use crate::{
    base_urls::host_matches,
    challenge::{challenge_parameters, token_challenge_parameters},
    pointer::{Pointer, ResponsePath, alike},
    refusal::{vendor_error, vendor_error_despite_status},
};
pub use biped_redact::{Escaped, Redactor, VENDOR_TEXT_LIMIT, escaped, vendor_text};

/// Returns the JSON of a response, whatever its content type says. Bytes that are not UTF-8 are
/// replaced.
///
/// # Errors
/// [`InvalidResponse`](biped_error::ErrorKind::InvalidResponse), which is transient if the body is empty.
pub fn json(response: &http::Response<Bytes>) -> Result<Value, Error> {
    let body = response.body().trim_ascii();
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if body.is_empty() {
        return Err(invalid_response(response, "the response has an empty body").transient(true));
    }
    let read = match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_str(&String::from_utf8_lossy(body)),
    };
    read.map_err(|_| {
        let what = match response.headers().get(header::CONTENT_ENCODING) {
            _ if body.starts_with(b"<") => "HTML or XML, not JSON",
            Some(coding) if coding != "identity" => "compressed, although that was not requested",
            _ => "truncated or not JSON",
        };
        invalid_response(response, format!("the response is {what}"))
            .with_remedy("check the URL of this request; a login page or a proxy may be responding")
    })
}

/// Returns the error for a response that is neither a token nor an error, with its status. The
/// message says what is missing, never what is there.
#[must_use]
pub fn invalid_response(
    response: &http::Response<Bytes>,
    message: impl Into<Cow<'static, str>>,
) -> Error {
    Error::invalid_response(message).with_vendor(VendorError::new(response.status().as_u16()))
}

/// Returns the same error with the status of the response, for an error that is found after the response
/// was read and has no status yet.
#[must_use]
pub fn with_status(error: Error, response: &http::Response<Bytes>) -> Error {
    if error.kind() != ErrorKind::InvalidResponse || error.vendor().is_some() {
        return error;
    }
    error.with_vendor(VendorError::new(response.status().as_u16()))
}

/// Returns the error for a failed response, by its status and the vendor's words (see [`ErrorKind`]
/// for the rules), with its `Retry-After`. A refusal whose `Date` is far from `now` says so
/// ([`Error::clock_warning`]).
#[must_use]
pub fn failure(response: &http::Response<Bytes>, vendor: VendorError, now: Timestamp) -> Error {
    let status = response.status();
    let retry_after = retry_after(response.headers(), now);
    if is_transient(status) {
        return Error::unavailable(vendor).with_retry_after(retry_after);
    }
    if status.is_redirection() {
        return invalid_response(response, "the token endpoint answered with a redirect")
            .with_remedy("configure the final URL; redirects are never followed with a secret");
    }
    Error::refused(vendor)
        .with_retry_after(retry_after)
        .with_date(response.headers(), now)
}

/// Returns whether the same request may succeed later after this status: 408, 425, 429 or 5xx.
#[must_use]
pub fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error()
}

/// Returns the `Retry-After` of a response (RFC 9110 §10.2.3): seconds or an HTTP date. A point in the
/// past is zero, more than a year is a year, and anything else is `None`.
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

/// Reads a number of seconds, written as a number (whole or not) or as a string. Zero and less are
/// `None`; more than a year is a year.
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

/// Reads a point in time: seconds or milliseconds since 1970, as a number or as a string, or a date: RFC
/// 3339, an HTTP date (RFC 9110 §5.6.7), or a day, which stands for its start in UTC. A time without a
/// zone is `None`, since it may be off by hours.
#[must_use]
pub fn point_in_time(value: &Value) -> Option<Timestamp> {
    /// Since 2001, seconds since 1970 have ten digits and milliseconds thirteen.
    const LEAST_MILLIS: f64 = 1e11;
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    if let Some(number) = number {
        let seconds = match number {
            number if number >= LEAST_MILLIS => number / 1e3,
            number => number,
        };
        #[allow(clippy::cast_possible_truncation)] // a cast saturates
        return (seconds.is_finite() && seconds > 0.0)
            .then(|| Timestamp::from_unix_millis((seconds * 1e3) as i64));
    }
    let text = value.as_str()?.trim();
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp::from_unix_millis(at.as_millisecond()));
    }
    if let Ok(at) = httpdate::parse_http_date(text) {
        return Some(at.into());
    }
    let is_day = text.len() == "2026-11-22".len();
    let day: jiff::civil::Date = text.parse().ok().filter(|_| is_day)?;
    let start = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_unix_millis(
        start.timestamp().as_millisecond(),
    ))
}

/// Reads a string, or a number as a string: vendors write codes either way.
#[must_use]
pub fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

/// Reads a whole number, written as a number or as a string.
#[must_use]
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Reads a scope: one string, or a list of them.
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

/// Reads an object, or a string that holds the JSON of one.
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

/// Returns the `exp` of a JWT (RFC 7519 §4.1.4). The signature is not verified: that is up to the API.
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

/// Checks the base URL in a vendor's response before any token is sent there. Short for
/// [`BaseUrls::at`] and [`BaseUrls::read`].
///
/// # Errors
/// [`InvalidResponse`](biped_error::ErrorKind::InvalidResponse), which says what is wrong with it.
pub fn base_url(text: &str, hosts: &[impl AsRef<str>], token_endpoint: &Url) -> Result<Url, Error> {
    BaseUrls::at(hosts, token_endpoint).read(text)
}

/// Returns the percent-encoded text: everything but letters, digits and `-._~` becomes `%XX` (RFC 3986
/// §2.3), and a space `%20`.
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
