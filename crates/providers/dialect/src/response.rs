//! [`Reads`]: how the response to a request is read, as data.

use std::time::Duration;

use biped_core::Lifetime;
use serde_json::Value;

use crate::{answer_path::AnswerPath, expiry::Expiry, template::Template};

/// How a response is read.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    /// The top keys of a successful response that are read; `None`: all of them.
    pub(crate) wanted: Option<Box<[Box<str>]>>,
    pub(crate) is_text: bool,
    /// `None`: this response contains no token.
    pub(crate) token: Option<AnswerPath>,
    /// Whether a response without a token is an error.
    pub(crate) needs_token: bool,
    pub(crate) expires: Option<Expiry>,
    pub(crate) lifetime: Option<Lifetime>,
    /// How long a token lasts without use.
    pub(crate) idle: Option<Duration>,
    pub(crate) base_url: Option<AnswerPath>,
    pub(crate) base_url_hosts: Vec<Template>,
    pub(crate) export: Vec<(Box<str>, AnswerPath)>,
    pub(crate) ok: Option<Success>,
    /// `None`: the error is wherever vendors write it.
    pub(crate) words: Option<Words>,
    pub(crate) codes: Codes,
    pub(crate) token_type: AnswerPath,
    pub(crate) scope: AnswerPath,
}

impl Reads {
    /// Whether the expiry is where most vendors write it: the vendor file does not say where.
    pub(crate) fn is_expiry_usual(&self) -> bool {
        self.expires
            .as_ref()
            .is_some_and(|expires| !expires.is_described)
    }
}

/// The flag that reports success.
#[derive(Clone, Debug)]
pub(crate) struct Success {
    pub(crate) at: AnswerPath,
    pub(crate) equals: Value,
    pub(crate) or_absent: bool,
}

/// Where a response describes its error.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    pub(crate) code: Option<AnswerPath>,
    pub(crate) reason: Option<AnswerPath>,
    pub(crate) message: Option<AnswerPath>,
}

/// What a vendor's own codes mean.
#[derive(Clone, Debug, Default)]
pub(crate) struct Codes {
    /// The client's credentials are wrong.
    pub(crate) invalid_client: Vec<String>,
    /// The same request may succeed later, whatever the status is.
    pub(crate) temporarily_unavailable: Vec<String>,
}
