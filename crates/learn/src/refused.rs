//! Reads the refusal, and the flag that tells it from a success.

use biped_core::{Error, VendorError, http::StatusCode, wire};
use serde_json::Value;

use crate::{
    answer::{Answer, printed},
    body::tolerant,
    place::{Leaf, Path, leaves},
    placeholder::looks_like_a_sample,
};

/// What a refusal says.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Its HTTP status; `None` if the text does not show it.
    pub(crate) status: Option<u16>,
    pub(crate) code: Option<(Path, Value)>,
    pub(crate) reason: Option<(Path, Value)>,
    pub(crate) message: Option<Path>,
    leaves: Vec<Leaf>,
}

impl Refused {
    /// Whether the default of a vendor file reads it.
    pub(crate) fn is_usual(&self) -> bool {
        let code = self.code.as_ref().map(|(path, _)| path.pointer());
        let message = self.message.as_ref().map(Path::pointer);
        code.as_deref() == Some("/error")
            && self.reason.is_none()
            && message.is_none_or(|message| message == "/error_description")
    }

    /// The code that means wrong credentials, if the vendor file has to say so: the status and the standard's
    /// codes don't. `None` if the text does not show the status.
    pub(crate) fn client_code(&self) -> Option<&Value> {
        let (_, value) = self.code.as_ref()?;
        let code = match value {
            Value::String(text) if !text.contains(' ') && !looks_like_a_sample(text) => {
                text.clone()
            }
            Value::Number(number) => number.as_i64()?.to_string(),
            _ => return None,
        };
        let status = StatusCode::from_u16(self.status?).ok()?;
        if status.is_redirection() || wire::is_transient(status) {
            return None;
        }
        let is_clear = |status: StatusCode| {
            let vendor = VendorError::new(status.as_u16()).code(&code);
            Error::refused(vendor).refuses_client()
        };
        // With 401, only the standard's codes for a wrong request don't mean wrong credentials.
        let must_say = !is_clear(status) && is_clear(StatusCode::UNAUTHORIZED);
        must_say.then_some(value)
    }
}

/// A flag in the body, and its values in a success and in a refusal.
#[derive(Debug)]
pub(crate) struct SuccessFlag {
    pub(crate) path: Path,
    pub(crate) success: Value,
    pub(crate) failure: Value,
}

const CODES: [&str; 9] = [
    "errorcode",
    "code",
    "errcode",
    "errorid",
    "errno",
    "faultcode",
    "errorkey",
    "errorname",
    "errortype",
];
/// What an object of an error is called, whose `id` is its code.
const ERRORS: [&str; 3] = ["error", "fault", "err"];
const MESSAGES: [&str; 13] = [
    "errordescription",
    "message",
    "errormessage",
    "errormsg",
    "errmsg",
    "msg",
    "description",
    "detail",
    "details",
    "faultstring",
    "errordetail",
    "title",
    "text",
];

pub(crate) fn read(text: Option<&str>, notes: &mut Vec<String>) -> Option<Refused> {
    let Some(text) = text else {
        notes.push(
            "no refusal was given; add an example of one if the documentation shows it".into(),
        );
        return None;
    };
    let printed = printed(text);
    let Some(body @ (Value::Object(_) | Value::Array(_))) = tolerant(&printed.body) else {
        notes.push("the refusal is not JSON, and was left out".into());
        return None;
    };
    let leaves = leaves(&body);
    let named = |names: &[&str]| {
        let found = names
            .iter()
            .find_map(|name| leaves.iter().find(|leaf| leaf.path.name() == *name));
        found.cloned()
    };
    let message = named(&MESSAGES).filter(|leaf| leaf.value.is_string());
    let error = named(&["error"]);
    let is_code = |value: &Value| match value {
        Value::String(text) => !text.is_empty() && !text.contains(' ') || message.is_some(),
        Value::Number(_) => true,
        _ => false,
    };
    let id = leaves
        .iter()
        .find(|leaf| leaf.path.name() == "id" && ERRORS.contains(&&*leaf.path.parent_name()));
    let own = named(&CODES).or(id.cloned());
    let own = own.filter(|leaf| is_code(&leaf.value));
    let error_code = error.clone().filter(|leaf| is_code(&leaf.value));
    let (code, reason) = match (own, error_code) {
        (Some(own), error) => (Some(own), error),
        (None, error) => (error, None),
    };
    let error_text = error.filter(|leaf| leaf.value.is_string() && code.is_none());
    let message = message.or(error_text);
    if code.is_none() && message.is_none() {
        notes.push("the refusal shows neither a code nor a message, and was left out".into());
        return None;
    }
    if printed.status.is_none() {
        let note = "the refusal's HTTP status is not shown, and the example assumes 401; if it is another, \
                    pass what curl -i prints";
        notes.push(note.into());
    }
    let pair = |leaf: Leaf| (leaf.path, leaf.value);
    Some(Refused {
        status: printed.status,
        code: code.map(pair),
        reason: reason.map(pair),
        message: message.map(|leaf| leaf.path),
        leaves,
    })
}

/// Whether a value of a success looks like the flag of one.
fn may_be_flag(leaf: &Leaf) -> bool {
    const FLAGS: [&str; 5] = ["success", "ok", "succeeded", "issuccess", "successful"];
    const NUMBERS: [&str; 4] = ["code", "errcode", "errorcode", "errno"];
    let name = leaf.path.name();
    match &leaf.value {
        Value::Bool(yes) => *yes && FLAGS.contains(&&*name),
        Value::Number(number) => number.as_u64() == Some(0) && NUMBERS.contains(&&*name),
        _ => false,
    }
}

/// Says that the response may have a flag, if no refusal shows whether it is one.
pub(crate) fn note_flag(
    answer: &Answer,
    text: Option<&str>,
    refused: Option<&Refused>,
    notes: &mut Vec<String>,
) {
    let flag = answer.leaves.iter().find(|leaf| may_be_flag(leaf));
    if let (Some(flag), None) = (flag, refused) {
        let at = flag.path.pointer();
        let remedy = match text {
            None => "pass a refusal with --error FILE, or set ok",
            Some(_) => "set ok",
        };
        notes.push(format!(
            "{at} looks like a flag of success; {remedy} if a refusal has another value there"
        ));
    }
}

/// The flag that a success and a refusal have both, with other values.
pub(crate) fn success_flag(answer: &Answer, refused: Option<&Refused>) -> Option<SuccessFlag> {
    let refused = refused?;
    for leaf in answer.leaves.iter().filter(|leaf| may_be_flag(leaf)) {
        let mut others = refused.leaves.iter();
        let other = others.find(|other| other.path == leaf.path && other.value != leaf.value);
        if let Some(other) = other {
            return Some(SuccessFlag {
                path: leaf.path.clone(),
                success: leaf.value.clone(),
                failure: other.value.clone(),
            });
        }
    }
    None
}
