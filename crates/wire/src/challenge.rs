//! Reads challenges: what a response says about the credentials of its request.

use http::{HeaderMap, header};

/// Returns the values of a parameter in the challenges of a response (RFC 9110 §11.6.1), in the order in
/// which they were sent: one from each challenge that has the parameter. A server may send a challenge
/// for each scheme, in one `WWW-Authenticate` header or in several.
///
/// ```
/// use biped_core::wire::challenge_parameters;
/// use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
///
/// let mut headers = HeaderMap::new();
/// let challenges = r#"Basic realm="a, b", Bearer error="invalid_token", error_description="over""#;
/// headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenges));
/// assert_eq!(challenge_parameters(&headers, "error"), ["invalid_token"]);
/// ```
#[must_use]
pub fn challenge_parameters(headers: &HeaderMap, name: &str) -> Vec<String> {
    let found = named(headers, name).into_iter();
    found.map(|(_, value)| value).collect()
}

/// Returns the values as [`challenge_parameters`] does, but only those in challenges for a token:
/// those of the schemes `Bearer` (RFC 6750) and `DPoP` (RFC 9449).
#[must_use]
pub fn token_challenge_parameters(headers: &HeaderMap, name: &str) -> Vec<String> {
    let is_token = |scheme: &str| ["bearer", "dpop"].contains(&&*scheme.to_ascii_lowercase());
    let mut found = named(headers, name);
    found.retain(|(scheme, _)| is_token(scheme));
    found.into_iter().map(|(_, value)| value).collect()
}

/// The values of a parameter, each with the scheme of its challenge.
fn named(headers: &HeaderMap, name: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for value in headers.get_all(header::WWW_AUTHENTICATE) {
        parameters(&String::from_utf8_lossy(value.as_bytes()), name, &mut found);
    }
    found
}

fn parameters(text: &str, name: &str, found: &mut Vec<(String, String)>) {
    let mut scheme = "";
    let mut rest = text;
    while let Some(at) = rest.find(['=', '"']) {
        let (before, after) = rest.split_at(at);
        if let Some(inner) = after.strip_prefix('"') {
            // A quoted string without a name.
            rest = quoted(inner).1;
            continue;
        }
        let mut words = before.trim_end().rsplit(SEPARATORS);
        let this = words.next();
        // The word before the first parameter's name.
        scheme = words.find(|word| !word.is_empty()).unwrap_or(scheme);
        let after = after[1..].trim_start();
        let value;
        (value, rest) = match after.strip_prefix('"') {
            Some(inner) => quoted(inner),
            None => {
                let end = after.find(SEPARATORS).unwrap_or(after.len());
                (after[..end].to_owned(), &after[end..])
            }
        };
        if this.is_some_and(|this| this.eq_ignore_ascii_case(name)) {
            found.push((scheme.to_owned(), value));
        }
    }
}

/// What separates parameters. Some servers write semicolons.
const SEPARATORS: [char; 4] = [',', ';', ' ', '\t'];

/// Returns the content of a quoted string, and what follows it.
fn quoted(inner: &str) -> (String, &str) {
    let mut out = String::new();
    let mut characters = inner.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (out, &inner[at + 1..]),
            '\\' => out.extend(characters.next().map(|(_, escaped)| escaped)),
            other => out.push(other),
        }
    }
    (out, "")
}
