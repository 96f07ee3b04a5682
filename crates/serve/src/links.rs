//! Rewrites addresses in `Location`, `Content-Location` and `Link`, so that the next page is asked
//! through the sidecar as well.

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
        replace(headers, &name, |text| place.seen_by_caller(text));
    }
    replace(headers, &LINK, |text| links(text, place));
}

fn replace(headers: &mut HeaderMap, name: &HeaderName, rewrite: impl Fn(&str) -> Option<String>) {
    if !headers.contains_key(name) {
        return;
    }
    let old: Vec<HeaderValue> = headers.get_all(name).iter().cloned().collect();
    headers.remove(name);
    for value in old {
        let new = value.to_str().ok().and_then(&rewrite);
        let new = new.and_then(|text| HeaderValue::from_str(&text).ok());
        headers.append(name, new.unwrap_or(value));
    }
}

impl Place<'_> {
    /// The address as callers reach it: `/NAME…` below the base URL, else a complete URL.
    fn seen_by_caller(self, text: &str) -> Option<String> {
        let url = self.called.join(text).ok()?;
        if url.origin() != self.base.origin() {
            return Some(if is_complete(text) {
                text.to_owned()
            } else {
                url.into()
            });
        }
        let base = self.base.path().trim_end_matches('/');
        let rest = url.path().strip_prefix(base);
        let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
            return Some(url.into());
        };
        if self.prefix.is_empty() && rest.starts_with("//") {
            // A caller would read the first segment as a host.
            return Some(url.into());
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
        Some(seen)
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

/// Rewrites the targets of a `Link` (RFC 8288 §3): what is between `<` and `>` outside quotes.
fn links(text: &str, place: Place<'_>) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut quoted = false;
    while let Some(at) = rest.find(['<', '"', '\\']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if from.starts_with('"') {
            quoted = !quoted;
        }
        if quoted || !from.starts_with('<') {
            // A backslash takes the next character with it.
            let taken = if quoted && from.starts_with('\\') {
                2
            } else {
                1
            };
            let end = from
                .char_indices()
                .nth(taken)
                .map_or(from.len(), |(at, _)| at);
            out.push_str(from.get(..end)?);
            rest = from.get(end..)?;
            continue;
        }
        let end = from.find('>')?;
        let target = from.get(1..end)?;
        out.push('<');
        out.push_str(&place.seen_by_caller(target)?);
        out.push('>');
        rest = from.get(end + 1..)?;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> String {
        let base: Url = "https://api.vendor.example/v2".parse().unwrap();
        let called: Url = "https://api.vendor.example/v2/orders?page=1"
            .parse()
            .unwrap();
        let place = Place {
            base: &base,
            called: &called,
            prefix: "/shop;project_id=43",
        };
        place.seen_by_caller(text).unwrap()
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
    fn no_address_without_a_prefix_names_another_host() {
        let base: Url = "https://api.vendor.example/v2".parse().unwrap();
        let place = Place {
            base: &base,
            called: &base,
            prefix: "",
        };
        let text = "https://api.vendor.example/v2//evil.example/x";
        assert_eq!(place.seen_by_caller(text).as_deref(), Some(text));
        let plain = "https://api.vendor.example/v2/x";
        assert_eq!(place.seen_by_caller(plain).as_deref(), Some("/x"));
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
        assert_eq!(links(text, place).as_deref(), Some(told));
        assert_eq!(links("<broken", place), None);
    }
}
