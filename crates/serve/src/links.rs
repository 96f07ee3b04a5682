//! Rewrites addresses in `Location`, `Content-Location` and `Link`, so that the next page is asked
//! through the sidecar as well.

use std::{borrow::Cow, fmt::Write as _};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_LOCATION, LINK, LOCATION},
};
use url::Url;

/// Where answers come from, and what callers know that place as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The API's base URL.
    pub(crate) base: &'a Url,
    /// The URL that was called.
    pub(crate) called: &'a Url,
    /// `/NAME;K=V`; empty at a listener of a single provider.
    pub(crate) prefix: &'a str,
}

/// Whether an answer names addresses.
pub(crate) fn are_in(headers: &HeaderMap) -> bool {
    let names = [LOCATION, CONTENT_LOCATION, LINK];
    headers.keys().any(|name| names.contains(name))
}

/// Rewrites the headers of an answer.
pub(crate) fn rewrite(headers: &mut HeaderMap, place: Place<'_>) {
    for name in [LOCATION, CONTENT_LOCATION] {
        replace(headers, &name, |target| place.seen_by_caller(target));
    }
    replace(headers, &LINK, |value| links(value, place));
}

fn replace(
    headers: &mut HeaderMap,
    name: &HeaderName,
    rewrite: impl Fn(&[u8]) -> Option<Vec<u8>>,
) {
    if !headers.contains_key(name) {
        return;
    }
    let old: Vec<HeaderValue> = headers.get_all(name).iter().cloned().collect();
    headers.remove(name);
    for value in old {
        let new = rewrite(value.as_bytes());
        let new = new.and_then(|bytes| HeaderValue::from_bytes(&bytes).ok());
        headers.append(name, new.unwrap_or(value));
    }
}

impl Place<'_> {
    /// The address as callers reach it: `/NAME…` below the base URL, else a complete URL.
    fn seen_by_caller(self, target: &[u8]) -> Option<Vec<u8>> {
        let text = &*ascii(target);
        let url = self.called.join(text).ok()?;
        if url.origin() != self.base.origin() {
            // As it came.
            return Some(match is_complete(text) {
                true => target.to_vec(),
                false => String::from(url).into_bytes(),
            });
        }
        let base = self.base.path().trim_end_matches('/');
        let rest = url.path().strip_prefix(base);
        let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
            return Some(String::from(url).into_bytes());
        };
        if self.prefix.is_empty() && rest.starts_with("//") {
            // A caller would read the first segment as a host.
            return Some(String::from(url).into_bytes());
        }
        let mut seen = format!("{}{rest}", self.prefix);
        if seen.is_empty() {
            seen.push('/');
        }
        for (mark, part) in [('?', url.query()), ('#', url.fragment())] {
            if let Some(part) = part {
                seen.push(mark);
                seen.push_str(part);
            }
        }
        Some(seen.into_bytes())
    }
}

/// An address whose bytes above 0x7e are percent-encoded.
fn ascii(target: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(target) {
        Ok(text) if text.is_ascii() => text.into(),
        _ => {
            let mut text = String::with_capacity(target.len() + 16);
            for &byte in target {
                match byte {
                    0..=0x7e => text.push(char::from(byte)),
                    // Writing to a string does not fail.
                    _ => drop(write!(text, "%{byte:02X}")),
                }
            }
            text.into()
        }
    }
}

/// Whether an address is the same to every reader. `http:host/path` is a path to a reader of an `http`
/// address, and a host to others.
fn is_complete(text: &str) -> bool {
    let after_scheme = |url: Url| {
        text.get(url.scheme().len()..)
            .map(|it| it.starts_with("://"))
    };
    Url::parse(text).ok().and_then(after_scheme) == Some(true)
}

/// Rewrites the targets of a `Link` (RFC 8288 §3): what is between `<` and `>` outside quotes. All else
/// stays byte for byte.
fn links(value: &[u8], place: Place<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    let mut quoted = false;
    while let [first, after @ ..] = rest {
        match first {
            b'<' if !quoted => {
                let end = after.iter().position(|byte| *byte == b'>')?;
                let (target, from) = after.split_at(end);
                out.push(b'<');
                out.extend(place.seen_by_caller(target)?);
                rest = from;
                continue;
            }
            // A backslash takes the next character with it.
            b'\\' if quoted => {
                out.push(b'\\');
                out.extend(after.first());
                rest = after.get(1..).unwrap_or_default();
                continue;
            }
            b'"' => quoted = !quoted,
            _ => {}
        }
        out.push(*first);
        rest = after;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: impl AsRef<[u8]>) -> String {
        let base: Url = "https://api.vendor.example/v2".parse().unwrap();
        let called: Url = "https://api.vendor.example/v2/orders?page=1"
            .parse()
            .unwrap();
        let place = Place {
            base: &base,
            called: &called,
            prefix: "/shop;project_id=43",
        };
        String::from_utf8(place.seen_by_caller(text.as_ref()).unwrap()).unwrap()
    }

    #[test]
    fn addresses_below_the_base_url_lead_through_the_sidecar() {
        let own = "/shop;project_id=43";
        assert_eq!(
            seen("https://api.vendor.example/v2/orders?page=2"),
            format!("{own}/orders?page=2")
        );
        assert_eq!(seen("/v2/x"), format!("{own}/x"));
        assert_eq!(seen("?page=2"), format!("{own}/orders?page=2"));
        assert_eq!(seen("items"), format!("{own}/items"));
        assert_eq!(seen("/v2"), own);
    }

    #[test]
    fn other_addresses_are_complete() {
        assert_eq!(seen("/other/x"), "https://api.vendor.example/other/x");
        assert_eq!(seen("/v20/x"), "https://api.vendor.example/v20/x");
        assert_eq!(seen("https://cdn.example/a"), "https://cdn.example/a");
        assert_eq!(seen("//cdn.example/a"), "https://cdn.example/a");
        assert_eq!(seen("http:cdn.example/a"), "http://cdn.example/a");
    }

    #[test]
    fn other_letters_are_encoded_where_the_address_is_rewritten() {
        let own = "/shop;project_id=43";
        assert_eq!(seen("/v2/café?q=ü"), format!("{own}/caf%C3%A9?q=%C3%BC"));
        assert_eq!(seen(b"/v2/caf\xe9"), format!("{own}/caf%E9"));
        assert_eq!(seen("https://cdn.example/é"), "https://cdn.example/é");
    }

    #[test]
    fn no_address_without_a_prefix_names_another_host() {
        let base: Url = "https://api.vendor.example/v2".parse().unwrap();
        let place = Place {
            base: &base,
            called: &base,
            prefix: "",
        };
        let seen = |text: &str| place.seen_by_caller(text.as_bytes());
        let text = "https://api.vendor.example/v2//evil.example/x";
        assert_eq!(seen(text).as_deref(), Some(text.as_bytes()));
        let plain = "https://api.vendor.example/v2/x";
        assert_eq!(seen(plain).as_deref(), Some(&b"/x"[..]));
    }

    #[test]
    fn links_are_rewritten_between_their_brackets_only() {
        let base: Url = "https://api.vendor.example/v2".parse().unwrap();
        let place = Place {
            base: &base,
            called: &base,
            prefix: "/shop",
        };
        let text = "<https://api.vendor.example/v2/o?page=2>; rel=\"next\"; title=\"a \\\" <b>\", \
                    <https://cdn.example/>; rel=\"x\"";
        let told = "</shop/o?page=2>; rel=\"next\"; title=\"a \\\" <b>\", \
                    <https://cdn.example/>; rel=\"x\"";
        assert_eq!(
            links(text.as_bytes(), place).as_deref(),
            Some(told.as_bytes())
        );
        assert_eq!(links(b"<broken", place), None);
        let latin = b"</v2/\xe9>; title=\"\xe9\"";
        let told = b"</shop/%E9>; title=\"\xe9\"";
        assert_eq!(links(latin, place).as_deref(), Some(&told[..]));
    }
}
