//! [`vendor_text`]: a vendor's text, cut and escaped.

use std::borrow::Cow;

use crate::escape::must_be_escaped;

/// The longest vendor text that is shown, in bytes.
pub const VENDOR_TEXT_LIMIT: usize = 1024;

/// The longest vendor text that is kept until its secrets are redacted, in bytes.
const VENDOR_TEXT_KEPT: usize = 16 * 1024;

/// Marks the end of a text that was cut.
pub(crate) const CUT: char = '…';

/// Returns the vendor's text as it may be shown, cut to [`VENDOR_TEXT_LIMIT`] and with control
/// characters escaped; `None` if it is empty.
///
/// It doesn't look for secrets. Redact them first ([`Redactor`](crate::Redactor)), since a secret that
/// the cut divides is not found as a whole.
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

/// Returns the vendor's text as it is kept until its secrets are redacted: unchanged up to 16 KiB,
/// far more than is ever shown; `None` if it is empty.
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
