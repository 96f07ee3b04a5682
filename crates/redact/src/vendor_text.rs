//! A vendor's text, cut to a length.

use std::borrow::Cow;

use crate::escape::must_be_escaped;

/// What vendor text in errors is cut to, in bytes.
pub const VENDOR_TEXT_LIMIT: usize = 1024;

/// What is kept of a vendor's text until its secrets are redacted, in bytes.
const VENDOR_TEXT_KEPT: usize = 16 * 1024;

/// What marks the end of a text that was cut.
pub(crate) const CUT: char = '…';

/// Vendor text as it may be shown: cut to [`VENDOR_TEXT_LIMIT`], control characters escaped;
/// `None` where nothing is left.
///
/// It doesn't look for secrets: redact them first ([`Redactor`](crate::Redactor)). A secret that the
/// cut divides is no longer found whole.
#[must_use]
pub fn vendor_text(text: &str) -> Option<String> {
    let text = text.trim();
    let mut out = String::with_capacity(text.len().min(VENDOR_TEXT_LIMIT));
    for character in text.chars() {
        let next: Cow<'_, str> = if must_be_escaped(character) {
            character.escape_default().to_string().into()
        } else {
            character.to_string().into()
        };
        if out.len() + next.len() > VENDOR_TEXT_LIMIT {
            out.push(CUT);
            break;
        }
        out.push_str(&next);
    }
    (!out.is_empty()).then_some(out)
}

/// Vendor text as it is kept until secrets are redacted in it: as it came, but for an end that
/// nobody would see anyway.
#[must_use]
pub fn whole_vendor_text(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    if text.len() <= VENDOR_TEXT_KEPT {
        return Some(text.to_owned());
    }
    let mut end = VENDOR_TEXT_KEPT;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Some(format!("{}{CUT}", &text[..end]))
}
