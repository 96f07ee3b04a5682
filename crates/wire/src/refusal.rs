//! Finds the vendor's words in an error response, in whatever envelope they are: the one list of the
//! shapes that are known.

use bytes::Bytes;
use serde_json::{Map, Value};

use biped_error::VendorError;

use crate::{challenge::challenge_parameters, wire};

/// The shapes of errors that are sure to be errors, whatever the status, in the order in which they are
/// tried. Names are compared without regard to case, `_` and `-`.
const SHAPES: &[fn(&Fields<'_>, u8) -> Option<Words>] = &[
    // RFC 6749 §5.2: {"error": "invalid_client", "error_description": "…"}.
    // Google, Microsoft, Stripe: {"error": {"code": …, "status": …, "message": "…"}}.
    |fields, depth| in_error(fields, fields.get("error")?, depth),
    // Okta: {"errorCode": "…", "errorSummary": "…"}; errorMessage, error_code, errmsg of others.
    |fields, _| {
        let mut words = Words::of(fields, &["errorcode", "errcode"], ERROR_MESSAGES)?;
        if words.message.is_none() {
            words.message = fields.any_text(MESSAGES);
        }
        Some(words)
    },
    // JSON:API, GraphQL and many others: {"errors": [{"code": …, "message": "…"}]}, or texts.
    |fields, depth| in_any(fields.get("errors")?, depth + 1),
    // Apigee, WSO2: {"fault": {"faultstring": "…", "detail": {"errorcode": "…"}}}.
    |fields, depth| in_fault(fields.get("fault")?, depth),
    // The same in an envelope.
    |fields, depth| {
        let mut inner = ENVELOPES.iter().filter_map(|name| fields.get(name));
        inner.find_map(|value| sure(&*wire::object(value)?, depth + 1))
    },
];

const ERROR_MESSAGES: &[&str] = &[
    "errordescription",
    "errorsummary",
    "errormessage",
    "errormsg",
    "errmsg",
];

const MESSAGES: &[&str] = &[
    "errordescription",
    "errorsummary",
    "errormessage",
    "errormsg",
    "errmsg",
    "message",
    "msg",
    "detail",
    "description",
    "faultstring",
    "title",
];

const CODES: &[&str] = &["code", "errorcode", "errcode", "type", "name"];

/// Where a second code may be, beside those of [`CODES`].
const REASONS: &[&str] = &["codereason", "type", "status", "name"];

const ENVELOPES: &[&str] = &["data", "response", "result", "meta", "body", "status"];

/// How deep envelopes are opened.
const DEEPEST: u8 = 3;

/// Returns the vendor's words in an error response: those of its body, in any of the shapes that are
/// common, else those of its challenge (RFC 6750 §3). None, if there are none.
///
/// Of a success only what can be nothing but an error counts: a `message` beside a token is none.
///
/// ```
/// use biped_core::wire;
/// use bytes::Bytes;
///
/// let body = r#"{"errorCode": "E0000011", "errorSummary": "Invalid token provided"}"#;
/// let mut response = http::Response::new(Bytes::from(body));
/// *response.status_mut() = http::StatusCode::UNAUTHORIZED;
/// let vendor = wire::vendor_error(&response);
/// assert_eq!(vendor.code.as_deref(), Some("E0000011"));
/// assert_eq!(vendor.message.as_deref(), Some("Invalid token provided"));
/// ```
#[must_use]
pub fn vendor_error(response: &http::Response<Bytes>) -> VendorError {
    read(response, !response.status().is_success())
}

/// Returns the vendor's words as [`vendor_error`] does, for a response that is known to be an error
/// although its status is that of a success.
#[must_use]
pub fn vendor_error_despite_status(response: &http::Response<Bytes>) -> VendorError {
    read(response, true)
}

fn read(response: &http::Response<Bytes>, is_error: bool) -> VendorError {
    let vendor = VendorError::new(response.status().as_u16());
    let answer = wire::json(response).unwrap_or_default();
    let in_body = in_any(&answer, 0);
    if !is_error || in_body.is_some() {
        return in_body.unwrap_or_default().into_error(vendor);
    }
    let part = |name: &str| {
        challenge_parameters(response.headers(), name)
            .into_iter()
            .next()
    };
    if let Some(code) = part("error") {
        let said = Words {
            code: Some(code),
            message: part("error_description"),
            uri: part("error_uri"),
            ..Words::default()
        };
        return said.into_error(vendor);
    }
    likely(&answer).unwrap_or_default().into_error(vendor)
}

/// The words of an error.
#[derive(Default)]
struct Words {
    code: Option<String>,
    reason: Option<String>,
    message: Option<String>,
    uri: Option<String>,
}

impl Words {
    /// The words of these fields; `None` without a code and a message.
    fn of(fields: &Fields<'_>, codes: &[&str], messages: &[&str]) -> Option<Self> {
        let code = codes.iter().find_map(|name| fields.code(name));
        // Zero is no error.
        if code.as_deref() == Some("0") {
            return None;
        }
        let reasons = REASONS.iter().filter_map(|name| fields.code(name));
        let mut reasons = reasons.filter(|text| !text.bytes().all(|byte| byte.is_ascii_digit()));
        let words = Self {
            reason: reasons.find(|text| code.as_ref().is_some_and(|code| code != text)),
            code,
            message: fields.any_text(messages),
            uri: fields.any_text(&["erroruri", "moreinfo", "documentationurl"]),
        };
        (words.code.is_some() || words.message.is_some()).then_some(words)
    }

    fn into_error(self, mut vendor: VendorError) -> VendorError {
        if let Some(code) = self.code {
            vendor = vendor.code(code);
        }
        if let Some(reason) = self.reason {
            vendor = vendor.reason(reason);
        }
        if let Some(message) = self.message {
            vendor = vendor.message(message);
        }
        if let Some(uri) = self.uri {
            vendor = vendor.uri(uri);
        }
        vendor
    }
}

/// What is sure to be an error.
fn sure(fields: &Map<String, Value>, depth: u8) -> Option<Words> {
    if depth > DEEPEST {
        return None;
    }
    let fields = Fields(fields);
    SHAPES.iter().find_map(|shape| shape(&fields, depth))
}

/// What is an error where the status says so: a problem of RFC 9457, a code and a message, or a message,
/// also in an envelope.
fn likely(answer: &Value) -> Option<Words> {
    let object = wire::object(first(answer))?;
    let fields = Fields(&object);
    let Some(mut words) = Words::of(&fields, CODES, MESSAGES) else {
        let mut inner = ENVELOPES.iter().filter_map(|name| fields.get(name));
        return inner.find_map(|value| Words::of(&Fields(&*wire::object(value)?), CODES, MESSAGES));
    };
    words.uri = words
        .uri
        .or_else(|| fields.text("type").filter(|page| page.contains("://")));
    Some(words)
}

/// An object with an error, a list of errors, or a text.
fn in_any(value: &Value, depth: u8) -> Option<Words> {
    let value = first(value);
    if let Some(object) = wire::object(value) {
        return sure(&object, depth).or_else(|| {
            // A member of a list of errors, or a list at the top (Salesforce).
            let fields = Fields(&object);
            (depth > 0).then(|| Words::of(&fields, CODES, MESSAGES))?
        });
    }
    // The top of a response is no error only because it is a text.
    let message = plain(value).filter(|_| depth > 0)?;
    Some(Words {
        message: Some(message),
        ..Words::default()
    })
}

/// `error`: an object, a list, a code with its description beside it, or the message itself.
fn in_error(fields: &Fields<'_>, error: &Value, depth: u8) -> Option<Words> {
    let error = first(error);
    if let Some(object) = wire::object(error) {
        let inner = Fields(&object);
        return Words::of(&inner, CODES, MESSAGES).or_else(|| sure(&object, depth + 1));
    }
    if *error == Value::Bool(true) {
        return Words::of(fields, CODES, MESSAGES);
    }
    let text = plain(error).filter(|text| text != "0")?;
    let words = Words::of(fields, &[], MESSAGES);
    // A number alone may be anything.
    if words.is_none() && error.is_number() {
        return None;
    }
    let mut words = words.unwrap_or_default();
    words.reason = fields.any_text(&["errorcode", "suberror", "code"]);
    if text.contains(char::is_whitespace) && words.message.is_none() {
        words.message = Some(text);
        words.code = words.reason.take();
    } else {
        words.code = Some(text);
    }
    words.uri = words.uri.or_else(|| fields.text("erroruri"));
    Some(words)
}

/// `fault`: its code may be in `detail`.
fn in_fault(fault: &Value, depth: u8) -> Option<Words> {
    let Some(object) = wire::object(fault) else {
        return in_any(fault, depth + 1);
    };
    let fields = Fields(&object);
    let mut words = Words::of(&fields, &["code", "faultcode"], MESSAGES)?;
    if words.code.is_none() {
        let detail = fields.get("detail").and_then(wire::object);
        words.code = detail.and_then(|detail| Fields(&detail).text("errorcode"));
    }
    Some(words)
}

/// The first member of a list, or the value itself.
fn first(value: &Value) -> &Value {
    match value {
        Value::Array(all) => all.first().unwrap_or(&Value::Null),
        value => value,
    }
}

/// A text that says something.
fn plain(value: &Value) -> Option<String> {
    let text = wire::text(value)?;
    (!text.trim().is_empty()).then(|| text.into_owned())
}

/// The members of an object.
struct Fields<'v>(&'v Map<String, Value>);

impl<'v> Fields<'v> {
    /// The member of this name, which is in lower case without `_` and `-`.
    fn get(&self, name: &str) -> Option<&'v Value> {
        let is_named = |key: &str| {
            let letters = key.bytes().filter(|byte| !b"_-".contains(byte));
            letters
                .map(|byte| byte.to_ascii_lowercase())
                .eq(name.bytes())
        };
        let mut members = self.0.iter().filter(|(key, _)| is_named(key));
        members
            .find(|(_, value)| !value.is_null())
            .map(|(_, value)| value)
    }

    /// The text of this name; of a list, that of its first member.
    fn text(&self, name: &str) -> Option<String> {
        let value = first(self.get(name)?);
        plain(value).or_else(|| match value {
            Value::Object(inner) if MESSAGES.contains(&name) => {
                let inner = Fields(inner);
                MESSAGES.iter().find_map(|name| plain(inner.get(name)?))
            }
            _ => None,
        })
    }

    /// The first text of these names.
    fn any_text(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.text(name))
    }

    /// The code of this name. The page of a problem (RFC 9457 §3.1.1) is none.
    fn code(&self, name: &str) -> Option<String> {
        self.text(name)
            .filter(|text| !text.contains("://") && text != "about:blank")
    }
}
