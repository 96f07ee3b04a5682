//! Rewrites addresses in `Location`, `Content-Location` and `Link`, so that the next page is asked
//! through the sidecar as well, and without the token that the address was called with.

use std::{borrow::Cow, fmt::Write as _};

use biped::{CachedToken, ExposeSecret, SecretString};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_LOCATION, LINK, LOCATION},
};
use url::{Url, form_urlencoded};

use crate::target::percent_decoded;

/// Where answers come from, and what callers know that place as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The API's base URL.
    pub(crate) base: &'a Url,
    /// The URL that was called.
    pub(crate) called: &'a Url,
    /// `/NAME;K=V`; empty at a listener of a single provider.
    pub(crate) prefix: &'a str,
    /// What no caller is shown.
    pub(crate) attached: &'a Attached,
}

/// What was put into the query of a call for its token. Most tokens travel in headers.
#[derive(Debug, Default)]
pub(crate) struct Attached(Option<Parameters>);

#[derive(Debug)]
struct Parameters {
    names: Vec<String>,
    token: SecretString,
}

impl Attached {
    /// The parameters of a query that were not in it `before`.
    pub(crate) fn new(before: Option<&str>, after: Option<&str>, token: &CachedToken) -> Self {
        if before == after {
            return Self::default();
        }
        let pairs = |query: Option<&str>| {
            let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
            pairs.into_owned().collect::<Vec<(String, String)>>()
        };
        let before = pairs(before);
        let new = pairs(after).into_iter().filter(|it| !before.contains(it));
        Self(Some(Parameters {
            names: new.map(|(name, _)| name).collect(),
            token: token.expose_secret().into(),
        }))
    }

    /// A query of the API without these parameters: the next call has its own.
    fn removed_from<'q>(&self, query: &'q str) -> Option<Cow<'q, str>> {
        let Some(it) = &self.0 else {
            return Some(query.into());
        };
        without(query, |name, _| it.names.iter().any(|known| known == name))
    }

    /// The address of another server without the token.
    fn token_removed_from<'t>(&self, address: &'t str) -> Cow<'t, str> {
        let (rest, fragment) = match address.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment)),
            None => (address, None),
        };
        let (Some(it), Some((path, query))) = (&self.0, rest.split_once('?')) else {
            return address.into();
        };
        let token = it.token.expose_secret();
        let left = without(query, |name, value| {
            it.names.iter().any(|known| known == name) && value.contains(token)
        });
        if left.as_deref() == Some(query) {
            return address.into();
        }
        let mut text = path.to_owned();
        for (mark, part) in [('?', left.as_deref()), ('#', fragment)] {
            if let Some(part) = part {
                text.push(mark);
                text.push_str(part);
            }
        }
        text.into()
    }

    /// Whether a value shows the token, at a place that was not recognised.
    fn is_shown_in(&self, value: &[u8]) -> bool {
        let Some(it) = &self.0 else { return false };
        let token = it.token.expose_secret();
        let mut text = String::from_utf8_lossy(value).into_owned();
        loop {
            if text.contains(token) {
                return true;
            }
            match percent_decoded(&text) {
                Some(decoded) if decoded != text => text = decoded,
                _ => return false,
            }
        }
    }
}

/// A query without some of its parameters, else byte for byte; `None` if they were all.
fn without(query: &str, is_removed: impl Fn(&str, &str) -> bool) -> Option<Cow<'_, str>> {
    let is_kept = |part: &&str| {
        let mut pairs = form_urlencoded::parse(part.as_bytes());
        !pairs.any(|(name, value)| is_removed(&name, &value))
    };
    let all = query.split('&').count();
    let kept: Vec<&str> = query.split('&').filter(is_kept).collect();
    match kept.len() {
        0 => None,
        some if some == all => Some(query.into()),
        _ => Some(kept.join("&").into()),
    }
}

/// Whether an answer names addresses.
pub(crate) fn are_in(headers: &HeaderMap) -> bool {
    let names = [LOCATION, CONTENT_LOCATION, LINK];
    headers.keys().any(|name| names.contains(name))
}

/// Rewrites the headers of an answer.
pub(crate) fn rewrite(headers: &mut HeaderMap, place: Place<'_>) {
    for name in [LOCATION, CONTENT_LOCATION] {
        replace(headers, &name, place, |target| place.seen_by_caller(target));
    }
    replace(headers, &LINK, place, |value| links(value, place));
}

fn replace(
    headers: &mut HeaderMap,
    name: &HeaderName,
    place: Place<'_>,
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
        let new = new.unwrap_or(value);
        if !place.attached.is_shown_in(new.as_bytes()) {
            headers.append(name, new);
        }
    }
}

impl Place<'_> {
    /// The address as callers reach it: `/NAME…` below the base URL, else a complete URL.
    fn seen_by_caller(self, target: &[u8]) -> Option<Vec<u8>> {
        let text = &*ascii(target);
        let mut url = self.called.join(text).ok()?;
        if url.origin() != self.base.origin() {
            let address = if is_complete(text) {
                text
            } else {
                url.as_str()
            };
            let left = self.attached.token_removed_from(address);
            return Some(match left {
                // As it came.
                Cow::Borrowed(left) if left == text => target.to_vec(),
                left => left.into_owned().into_bytes(),
            });
        }
        if let Some(query) = url.query().map(str::to_owned) {
            url.set_query(self.attached.removed_from(&query).as_deref());
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
            attached: &Attached::default(),
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
            attached: &Attached::default(),
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
            attached: &Attached::default(),
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
