//! Text that somebody else wrote, made fit to be shown: cut, escaped, and searched for secrets.
//!
//! The order matters. A secret is looked for in the whole text ([`Redactor`]); then the text is cut,
//! then it is escaped. No [`Error`](crate::Error) is in here.

mod lattice;
mod redactor;

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
};

pub use self::redactor::Redactor;

/// What vendor text in errors is cut to, in bytes.
pub const VENDOR_TEXT_LIMIT: usize = 1024;

/// What is kept of a vendor's text until its secrets are redacted, in bytes.
const VENDOR_TEXT_KEPT: usize = 16 * 1024;

/// What marks the end of a text that was cut.
const CUT: char = '…';

/// A text on one line: what could begin another, drive a terminal or change the reading direction
/// is escaped (`\n`, `\u{1b}`, `\u{202e}`). Nothing is cut.
///
/// Its [`Display`](fmt::Display) is for names, scopes, parameters and paths that go into logs and
/// onto terminals.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(must_be_escaped) {
            let (plain, other) = rest.split_at(at);
            f.write_str(plain)?;
            let mut characters = other.chars();
            if let Some(character) = characters.next() {
                write!(f, "{}", character.escape_default())?;
            }
            rest = characters.as_str();
        }
        f.write_str(rest)
    }
}

/// The same as a text, borrowed where there is nothing to escape.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    if text.contains(must_be_escaped) {
        Escaped(text).to_string().into()
    } else {
        text.into()
    }
}

/// A message on one line: names and texts of others are in it.
pub(crate) fn one_line(text: Cow<'static, str>) -> Cow<'static, str> {
    match escaped(&text) {
        Cow::Owned(escaped) => escaped.into(),
        Cow::Borrowed(_) => text,
    }
}

/// Control characters (C0, DEL, C1), and those that nobody sees but that change how the text around
/// them reads: line separators, direction overrides, joiners, tags.
fn must_be_escaped(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Vendor text as it may be shown: cut to [`VENDOR_TEXT_LIMIT`], control characters escaped;
/// `None` where nothing is left.
///
/// It doesn't look for secrets. What stands in an [`Error`](crate::Error) of a fetch is searched for
/// them afterwards, with a secret's beginning at the cut among them.
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
pub(crate) fn whole_vendor_text(text: &str) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_forge_a_line_is_escaped_and_the_rest_is_left() {
        for (text, shown) in [
            ("data-export", "data-export"),
            ("Zürich 東京 😀", "Zürich 東京 😀"),
            ("a\nERROR forged", "a\\nERROR forged"),
            ("\r\u{1b}[2J", "\\r\\u{1b}[2J"),
            ("a\u{85}b\u{9b}c\u{7f}", "a\\u{85}b\\u{9b}c\\u{7f}"),
            ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}"),
            ("\u{202e}\u{2066}\u{feff}", "\\u{202e}\\u{2066}\\u{feff}"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(escaped(text), shown);
            assert_eq!(Escaped(text).to_string(), shown);
        }
        assert!(matches!(escaped("plain"), Cow::Borrowed(_)));
    }
}
