//! [`Escaped`]: a text on one line that can't control a terminal.

use std::{borrow::Cow, fmt};

/// A text on one line. Characters that could start another line, control a terminal or change the
/// reading direction are escaped (`\n`, `\u{1b}`, `\u{202e}`). Nothing is cut.
///
/// Its [`Display`](fmt::Display) is for names, scopes, parameters and paths in logs and on terminals.
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

/// Returns the escaped text, borrowed if there is nothing to escape.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    if text.contains(must_be_escaped) {
        Escaped(text).to_string().into()
    } else {
        text.into()
    }
}

/// Returns the escaped text, for a text that is owned or static, such as the message of an error.
#[must_use]
pub fn one_line(text: Cow<'static, str>) -> Cow<'static, str> {
    match escaped(&text) {
        Cow::Owned(escaped) => escaped.into(),
        Cow::Borrowed(_) => text,
    }
}

/// Control characters (C0, DEL, C1), and invisible characters that change how the text around them
/// reads: line separators, direction overrides, joiners, tags.
pub(crate) fn must_be_escaped(character: char) -> bool {
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
