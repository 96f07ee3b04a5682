//! The encodings of a secret, and finding parts of a secret in a text, for tests of what errors show.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;

/// Returns a secret in the encodings in which vendors repeat it, each with its name: unchanged,
/// percent-encoded, form-encoded, in Base64, escaped for JSON and HTML, and nested.
#[must_use]
pub fn encodings(secret: &str) -> Vec<(&'static str, String)> {
    let mut all = plain_encodings(secret);
    let pair = format!("id:{secret}");
    let longer = format!("an-id:{secret}");
    all.extend([
        ("Base64", STANDARD.encode(secret)),
        ("Base64 without padding", STANDARD_NO_PAD.encode(secret)),
        ("Base64 for URLs", URL_SAFE.encode(secret)),
        (
            "Base64 for URLs without padding",
            URL_SAFE_NO_PAD.encode(secret),
        ),
        ("Basic", STANDARD.encode(&pair)),
        ("Basic without padding", STANDARD_NO_PAD.encode(&longer)),
        ("Base64 for URLs behind a name", URL_SAFE.encode(&longer)),
        (
            "percent-encoded Base64",
            percent(&STANDARD.encode(secret), true),
        ),
        (
            "percent-encoded twice",
            percent(&percent(secret, true), true),
        ),
        ("JSON in JSON", json(&json(secret, false), false)),
        ("HTML in JSON", json(&html(secret, true), true)),
        ("percent-encoded HTML", percent(&html(secret, true), false)),
    ]);
    all
}

/// The encodings that work character by character.
fn plain_encodings(secret: &str) -> Vec<(&'static str, String)> {
    let mixed: String = secret
        .chars()
        .enumerate()
        .map(|(at, character)| percent(&character.to_string(), at % 2 == 0))
        .collect();
    let form = |upper| percent(secret, upper).replace("%20", "+");
    vec![
        ("plain", secret.to_owned()),
        ("percent-encoded", percent(secret, true)),
        ("percent-encoded in lower case", percent(secret, false)),
        ("percent-encoded in either case", mixed),
        ("form-encoded", form(true)),
        ("form-encoded in lower case", form(false)),
        ("JSON", json(secret, false)),
        ("JSON in ASCII", json(secret, true)),
        ("HTML", html(secret, true)),
        ("HTML by numbers", html(secret, false)),
    ]
}

/// The encodings of a whole secret, and what is in a text of Base64 wherever the secret stands in what
/// was encoded.
pub(crate) fn whole(secret: &str) -> Vec<String> {
    let encoded = encodings(secret)
        .into_iter()
        .chain(base64(secret.as_bytes()));
    encoded.map(|(_, text)| text).collect()
}

/// The parts of a secret that no text may contain: any four consecutive characters, in every encoding,
/// and any six bytes in Base64. A shorter secret is its only part.
#[derive(Clone, Debug)]
pub struct Parts(Vec<(&'static str, String)>);

impl Parts {
    /// Returns the parts of this secret.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(parts(secret))
    }

    /// Returns the first part that this text contains, with the name of its encoding. Text that is
    /// percent-encoded or escaped for JSON is searched as it is and decoded once.
    #[must_use]
    pub fn find_in(&self, text: &str) -> Option<String> {
        let percent_decoded = percent_decode_str(text).decode_utf8_lossy().into_owned();
        let decoded = [percent_decoded, json_unescaped(text)];
        let decoded = decoded.iter().filter(|decoded| *decoded != text);
        let texts = [text].into_iter().chain(decoded.map(String::as_str));
        let mut found = texts.flat_map(|text| {
            let is_there = move |(_, part): &&(_, String)| text.contains(part.as_str());
            self.0.iter().find(is_there)
        });
        let (encoding, part) = found.next()?;
        Some(format!("{part} ({encoding})"))
    }
}

/// Removes one level of backslashes, and decodes `\u00xx`.
fn json_unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let unit = after.strip_prefix('u').and_then(|it| it.get(..4));
        let unit = unit.and_then(|it| u32::from_str_radix(it, 16).ok());
        let escaped = unit.and_then(char::from_u32);
        let next = escaped.or(after.chars().next());
        out.extend(next);
        let length = match escaped {
            Some(_) => 5,
            None => next.map_or(0, char::len_utf8),
        };
        rest = &after[length..];
    }
    out + rest
}

fn parts(secret: &str) -> Vec<(&'static str, String)> {
    let characters: Vec<char> = secret.trim().chars().collect();
    let length = characters.len().clamp(1, 4);
    let windows = characters
        .windows(length)
        .map(|part| part.iter().collect::<String>());
    let plain = windows.flat_map(|part| plain_encodings(&part));
    let mut parts: Vec<_> = plain.collect();
    for part in secret.as_bytes().windows(6) {
        parts.extend(base64(part));
    }
    parts.sort_unstable_by(|(_, one), (_, other)| one.cmp(other));
    parts.dedup_by(|(_, one), (_, other)| one == other);
    parts
}

/// The characters of Base64 that these bytes alone make, wherever they stand in what is encoded.
fn base64(part: &[u8]) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    for skipped in 0..3_usize {
        let encoded = STANDARD_NO_PAD.encode([&[0; 2][..skipped], part].concat());
        let own = &encoded[(skipped * 8).div_ceil(6)..(skipped + part.len()) * 8 / 6];
        all.push(("Base64", own.to_owned()));
        all.push(("Base64 for URLs", own.replace('+', "-").replace('/', "_")));
    }
    all
}

fn percent(text: &str, upper: bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let _ = match byte {
            b'-' | b'.' | b'_' | b'~' => write!(out, "{}", char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => write!(out, "{}", char::from(byte)),
            byte if upper => write!(out, "%{byte:02X}"),
            byte => write!(out, "%{byte:02x}"),
        };
    }
    out
}

/// Escapes for a JSON string; in ASCII, all but letters and digits become `\u00xx`, and a slash `\/`.
fn json(text: &str, ascii: bool) -> String {
    let mut out = String::new();
    for character in text.chars() {
        let _ = match character {
            '"' | '\\' => write!(out, "\\{character}"),
            '\n' => write!(out, "\\n"),
            '/' if ascii => write!(out, "\\/"),
            other if other.is_control() || (ascii && !other.is_ascii_alphanumeric()) => other
                .encode_utf16(&mut [0; 2])
                .iter()
                .try_for_each(|unit| write!(out, "\\u{unit:04x}")),
            other => write!(out, "{other}"),
        };
    }
    out
}

fn html(text: &str, named: bool) -> String {
    let mut out = String::new();
    for character in text.chars() {
        let name = match character {
            '&' => "amp",
            '<' => "lt",
            '>' => "gt",
            '"' => "quot",
            '/' => "sol",
            '+' => "plus",
            _ => "",
        };
        let _ = match character {
            other if other.is_ascii_alphanumeric() => write!(out, "{other}"),
            _ if named && !name.is_empty() => write!(out, "&{name};"),
            '\'' => write!(out, "&#039;"),
            other if named => write!(out, "{other}"),
            other if u32::from(other) % 2 == 0 => write!(out, "&#x{:x};", u32::from(other)),
            other => write!(out, "&#{};", u32::from(other)),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "S3/c+r\"e&t <K9>'\\=%~Z";

    #[test]
    fn a_short_secret_is_found_whole() {
        for secret in ["x7", "é7z", "&"] {
            let parts = Parts::of(secret);
            let html = html(secret, true);
            for text in [secret, &percent(secret, true), &html] {
                let text = format!("no client {text}!");
                assert!(parts.find_in(&text).is_some(), "{text}");
            }
            assert_eq!(parts.find_in("no client"), None);
        }
        assert_eq!(Parts::of("").find_in("no client"), None);
    }

    #[test]
    fn a_whole_secret_is_found_in_base64_wherever_it_stands() {
        for before in ["", "i", "id", "id:"] {
            let text = STANDARD.encode(format!("{before}{SECRET}, and more"));
            assert!(
                whole(SECRET).iter().any(|form| text.contains(form)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_secret_is_found_in_every_encoding_and_cut_anywhere() {
        let parts = Parts::of(SECRET);
        for (encoding, echo) in encodings(SECRET) {
            assert!(parts.find_in(&echo).is_some(), "{encoding}: {echo}");
            // A half of it is enough, whichever.
            let (start, end) = echo.split_at(echo.len() / 2);
            for half in [start, end] {
                assert!(parts.find_in(half).is_some(), "{encoding}: {half}");
            }
        }
        for text in [
            "",
            "[redacted]",
            "Basic realm=\"a\"",
            "S3/",
            "no such client",
        ] {
            assert_eq!(parts.find_in(text), None, "{text}");
        }
    }
}
