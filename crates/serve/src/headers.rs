//! Which headers pass, in both directions.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, LINK, LOCATION, TE,
        TRANSFER_ENCODING, VIA,
    },
};
use http_body::Body;

const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// Whether the caller takes trailers.
pub(crate) fn takes_trailers(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(TE).iter();
    all.any(|value| has_word(value, "trailers"))
}

/// Whether a request is a call of gRPC.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Whether a request says something to the sidecar itself.
pub(crate) fn have_own(headers: &HeaderMap) -> bool {
    let mut names = headers.keys();
    names.any(|name| name.as_str().starts_with("biped-"))
}

fn has_word(value: &HeaderValue, word: &str) -> bool {
    let text = value.to_str().unwrap_or_default();
    text.split(',').any(|part| {
        let part = part.split(';').next().unwrap_or_default();
        part.trim().eq_ignore_ascii_case(word)
    })
}

/// Removes what must not reach the API.
pub(crate) fn to_api(
    headers: &mut HeaderMap,
    keep_cookies: bool,
    keep_trailer: bool,
    is_grpc: bool,
) {
    let trailers = takes_trailers(headers);
    remove_to_api(headers, keep_cookies, keep_trailer);
    if trailers {
        headers.insert(TE, TRAILERS);
    }
    // Over HTTP/2, hyper would remove TE if Connection named it, and gRPC's servers insist on TE.
    if trailers && !is_grpc {
        headers.insert(CONNECTION, HeaderValue::from_static("TE"));
    }
}

/// Removes from trailers what must not reach the API.
pub(crate) fn trailers_to_api(trailers: &mut HeaderMap, keep_cookies: bool) {
    remove_to_api(trailers, keep_cookies, false);
    trailers.remove(CONTENT_LENGTH);
}

fn remove_to_api(headers: &mut HeaderMap, keep_cookies: bool, keep_trailer: bool) {
    remove(headers, keep_trailer, |name| match name {
        "authorization" | "expect" | "forwarded" | "host" | "origin" | "referer" | "x-real-ip" => {
            true
        }
        "cookie" => !keep_cookies,
        name => ["biped-", "proxy-", "sec-fetch-", "x-forwarded-"]
            .iter()
            .any(|start| name.starts_with(start)),
    });
}

/// Announces a body whose length is not known, since hyper sends none with a GET or a HEAD otherwise.
pub(crate) fn announce_body(headers: &mut HeaderMap, method: &Method, body: &impl Body) {
    let is_announced = headers.contains_key(CONTENT_LENGTH) || body.size_hint().exact().is_some();
    if matches!(*method, Method::GET | Method::HEAD) && !is_announced {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Removes what must not reach the caller.
pub(crate) fn to_caller(headers: &mut HeaderMap, keep_cookies: bool, trailers: bool) {
    // The chunks are the body (RFC 9112 §6.3), whatever the length says.
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    remove(headers, trailers, |name| match name {
        "alt-svc" | "clear-site-data" | "strict-transport-security" => true,
        // An API could imitate the sidecar by these.
        "biped-rejected" | "biped-replayed" | "biped-waited" => true,
        "set-cookie" => !keep_cookies,
        name => name.starts_with("access-control-") || name.starts_with("proxy-"),
    });
}

/// Removes from trailers what must not reach the caller, and addresses, which belong into a head.
pub(crate) fn trailers_to_caller(trailers: &mut HeaderMap, keep_cookies: bool) {
    to_caller(trailers, keep_cookies, false);
    for name in [CONTENT_LENGTH, CONTENT_LOCATION, LINK, LOCATION] {
        trailers.remove(name);
    }
}

/// Removes the headers of a single connection (RFC 9110 §7.6.1), those that `Connection` names, and what
/// else is unwanted.
fn remove(headers: &mut HeaderMap, keep_trailer: bool, is_unwanted: impl Fn(&str) -> bool) {
    let named: Vec<&str> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .collect();
    let is_named = |name: &str| named.iter().any(|one| one.eq_ignore_ascii_case(name));
    let is_hop = |name: &str| match name {
        "connection"
        | "http2-settings"
        | "keep-alive"
        | "proxy-authenticate"
        | "proxy-authorization"
        | "te"
        | "transfer-encoding"
        | "upgrade" => true,
        "trailer" => !keep_trailer,
        _ => false,
    };
    let is_gone = |name: &&HeaderName| {
        let name = name.as_str();
        is_hop(name) || is_unwanted(name) || is_named(name)
    };
    let gone: Vec<HeaderName> = headers.keys().filter(is_gone).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
}

/// Adds this hop (RFC 9110 §7.6.3).
pub(crate) fn add_via(headers: &mut HeaderMap, version: Version) {
    let hop = if version == Version::HTTP_2 {
        "2 biped"
    } else {
        "1.1 biped"
    };
    headers.append(VIA, HeaderValue::from_static(hop));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn what_belongs_to_the_caller_stays_here() {
        let mut headers = of(&[
            ("authorization", "Bearer caller"),
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "1"),
            ("cookie", "a=b"),
            ("origin", "http://localhost"),
            ("sec-fetch-site", "same-origin"),
            ("x-forwarded-for", "10.0.0.1"),
            ("biped-caller", "secret"),
            ("proxy-authorization", "Bearer caller"),
            ("expect", "100-continue"),
            ("user-agent", "test"),
            ("if-none-match", "\"1\""),
            ("te", "trailers, deflate"),
        ]);
        to_api(&mut headers, false, false, false);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["connection", "if-none-match", "te", "user-agent"]);
        assert_eq!(headers[TE], "trailers");
        assert_eq!(headers[CONNECTION], "TE");
    }

    #[test]
    fn trailers_pass_as_headers_do() {
        let mut trailers = of(&[
            ("authorization", "Bearer caller"),
            ("biped-param", "a=b"),
            ("content-length", "3"),
            ("cookie", "a=b"),
            ("te", "trailers"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-sum", "1"),
        ]);
        trailers_to_api(&mut trailers, false);
        assert_eq!(trailers.keys().collect::<Vec<_>>(), ["x-sum"]);
        let mut trailers = of(&[
            ("access-control-allow-origin", "*"),
            ("biped-waited", "1"),
            ("content-length", "3"),
            ("grpc-status", "0"),
            ("link", "</x>"),
            ("location", "/x"),
            ("proxy-status", "biped"),
            ("set-cookie", "a=b"),
        ]);
        trailers_to_caller(&mut trailers, false);
        assert_eq!(trailers.keys().collect::<Vec<_>>(), ["grpc-status"]);
    }

    #[test]
    fn what_would_bind_the_caller_to_the_vendor_is_removed() {
        let mut headers = of(&[
            ("set-cookie", "a=b"),
            ("alt-svc", "h3"),
            ("strict-transport-security", "max-age=1"),
            ("access-control-allow-origin", "*"),
            ("clear-site-data", "*"),
            ("biped-replayed", "1"),
            ("biped-rejected", "renewing"),
            ("biped-waited", "1"),
            ("etag", "\"1\""),
        ]);
        to_caller(&mut headers, false, false);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["etag"]);
    }
}
