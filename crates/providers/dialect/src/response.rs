//! [`Reads`]: how the answer to a request is read, as data.

use biped_core::Lifetime;
use serde_json::Value;

use crate::{expiry::Expiry, place::Place, template::Template};

/// How an answer is read.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    /// The keys of a good answer that matter; `None`: all of it does.
    pub(crate) wanted: Option<Box<[Box<str>]>>,
    pub(crate) is_text: bool,
    /// `None`: this answer brings no token of its own.
    pub(crate) token: Option<Place>,
    /// Whether an answer without a token is an error.
    pub(crate) needs_token: bool,
    pub(crate) expires: Option<Expiry>,
    pub(crate) lifetime: Option<Lifetime>,
    pub(crate) base_url: Option<Place>,
    pub(crate) base_url_hosts: Vec<Template>,
    pub(crate) export: Vec<(Box<str>, Place)>,
    pub(crate) ok: Option<Success>,
    pub(crate) words: Words,
    pub(crate) token_type: Place,
    pub(crate) scope: Place,
}

/// The flag in a body that tells a success.
#[derive(Clone, Debug)]
pub(crate) struct Success {
    pub(crate) at: Place,
    pub(crate) equals: Value,
    pub(crate) or_absent: bool,
}

/// Where an answer's error words are.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    pub(crate) code: Option<Place>,
    pub(crate) reason: Option<Place>,
    pub(crate) message: Option<Place>,
}
