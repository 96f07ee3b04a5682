//! [`InBody`]: finding values in a body of which only the wanted keys were read.

use std::borrow::Cow;

pub(crate) use biped_core::wire::{Pointer, ResponsePath as AnswerPath, alike};
use http::HeaderMap;
use serde_json::Value;

use crate::skim::Body;

/// Paths into a [`Body`].
pub(crate) trait InBody {
    /// Finds the value; null counts as missing.
    fn find_in<'v>(&self, body: &'v Body<'_>, headers: &HeaderMap) -> Option<Cow<'v, Value>>;

    /// Moves a string out of the body; returns `None` for a value of another type, and for a path that
    /// is more than a key of the top object.
    fn take_text(&self, body: &mut Body<'_>) -> Option<String>;
}

impl InBody for AnswerPath {
    fn find_in<'v>(&self, body: &'v Body<'_>, headers: &HeaderMap) -> Option<Cow<'v, Value>> {
        match (self, body) {
            (Self::Body(pointer), Body::Parts(_)) => {
                let found = pointer.find_below(body.part(pointer.top()?)?)?;
                (!found.is_null()).then_some(found)
            }
            (_, Body::Whole(value)) => self.find(value, headers),
            (Self::Header(_), Body::Parts(_)) => self.find(&NO_BODY, headers),
        }
    }

    fn take_text(&self, body: &mut Body<'_>) -> Option<String> {
        match self {
            Self::Body(pointer) => body.take_text(pointer.only_key()?),
            Self::Header(_) => None,
        }
    }
}

static NO_BODY: Value = Value::Null;
