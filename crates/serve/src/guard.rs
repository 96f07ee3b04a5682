//! What is refused before anything else.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, Method, Request, Uri, Version,
    header::{
        ACCESS_CONTROL_REQUEST_METHOD, ALLOW, EXPECT, HOST, HeaderValue, ORIGIN, TRANSFER_ENCODING,
        UPGRADE,
    },
};

use crate::{
    problem::Problem,
    target::{self, BadPath},
    tls::Secured,
};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The longest target.
const MAX_TARGET: usize = 8 * 1024;

/// How many fields a head may have.
pub(crate) const MAX_FIELDS: usize = 100;

/// What a listener is called.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    /// `None` for a Unix socket, which has no name.
    pub(crate) port: Option<u16>,
    /// Whether only this machine can connect.
    pub(crate) is_local: bool,
    pub(crate) hosts: &'a [String],
    /// Further origins whose pages may send the request.
    pub(crate) origins: &'a [String],
    /// With the names of the certificate, where there is one.
    pub(crate) secured: Option<&'a Secured>,
}

impl Names<'_> {
    /// Where a call goes to, as its caller writes it.
    fn place(&self) -> String {
        let scheme = match self.secured {
            Some(_) => "https",
            None => "http",
        };
        match self.port {
            Some(port) if self.is_local => format!("{scheme}://localhost:{port}/NAME"),
            // What the caller calls the listener is not known.
            _ => "/NAME at this listener".into(),
        }
    }
}

/// Refuses what is not a request that this listener takes.
pub(crate) fn check<B>(request: &Request<B>, names: &Names<'_>) -> Result<(), Problem> {
    let (headers, uri) = (request.headers(), request.uri());
    let length = uri.path_and_query().map_or(0, |it| it.as_str().len());
    if length > MAX_TARGET {
        let what = "the target has more than 8 KiB";
        return Err(Problem::new("target-too-long", what));
    }
    // Over HTTP/1.1 they are refused before they are read.
    if headers.len() > MAX_FIELDS {
        let what = "the head has more than 100 fields";
        return Err(Problem::new("head-too-large", what));
    }
    let bad = |what: &str| Err(Problem::new("bad-request", what));
    let hosts = headers.get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return bad("expected one Host header");
    }
    check_coding(headers)?;
    if uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return bad("the target contains a user name");
    }
    if uri.path() == "*" {
        return bad("the target is not a path");
    }
    check_method(request.method(), names)?;
    check_host(request, names)?;
    check_origin(headers, request.method(), uri, names)
}

/// Refuses paths that servers read in different ways.
pub(crate) fn check_path(uri: &Uri) -> Result<(), Problem> {
    target::check(uri.path(), uri.query()).map_err(|BadPath(what)| Problem::new("bad-path", what))
}

/// Refuses what no call can do: another upgrade than those that are ignored, and other expectations.
pub(crate) fn check_upgrade_and_expect(headers: &HeaderMap) -> Result<(), Problem> {
    for value in headers.get_all(UPGRADE) {
        let text = value.to_str().unwrap_or_default();
        // Java offers HTTP/2 on plain connections. Staying with HTTP/1.1 is a valid answer.
        let is_ignored = text
            .split(',')
            .all(|word| word.trim().eq_ignore_ascii_case("h2c"));
        if !is_ignored {
            let what = "this release does not upgrade connections";
            return Err(Problem::new("upgrade", what));
        }
    }
    for value in headers.get_all(EXPECT) {
        if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
            let what = "the only expectation that is met is 100-continue";
            return Err(Problem::new("expectation", what));
        }
    }
    Ok(())
}

/// Refuses a request that may be forged: a forged one can't have a header of its own.
pub(crate) fn check_header(headers: &HeaderMap) -> Result<(), Problem> {
    if headers
        .get("biped-request")
        .is_some_and(|value| value.as_bytes() == b"1")
    {
        return Ok(());
    }
    let what = "the header Biped-Request: 1 is missing; send it";
    Err(Problem::new("not-allowed", what))
}

fn check_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_plain = match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    };
    if is_plain {
        return Ok(());
    }
    let what = "the only transfer coding that is understood is chunked";
    Err(Problem::new("transfer-coding", what).close())
}

fn check_method(method: &Method, names: &Names<'_>) -> Result<(), Problem> {
    let detail = match *method {
        Method::CONNECT => format!(
            "a token can't be put into an encrypted tunnel; send the request to {} instead",
            names.place()
        ),
        Method::TRACE => "TRACE would show the token".into(),
        _ => return Ok(()),
    };
    let allow = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    Err(Problem::new("method", detail).header(ALLOW, allow))
}

fn check_host<B>(request: &Request<B>, names: &Names<'_>) -> Result<(), Problem> {
    let Some(port) = names.port else {
        return Ok(());
    };
    let header = request.headers().get(HOST);
    let header = header.map(|value| value.to_str().unwrap_or_default());
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let mut given = header.into_iter().chain(authority).peekable();
    // HTTP/1.0 may leave it out.
    let is_named = given.peek().is_some() || request.version() <= Version::HTTP_10;
    let is_own = given.all(|host| is_own_name(host, port, names));
    if is_named && is_own {
        return Ok(());
    }
    let what = "the Host is not a name of this listener; use localhost, or add the name to \
                [serve] hosts";
    Err(Problem::new("wrong-host", what))
}

fn is_own_name(host: &str, port: u16, names: &Names<'_>) -> bool {
    let hosts = names.hosts;
    if hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
        return true;
    }
    let (name, given) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    // As it is usually written: without a sign, and without zeros before it.
    let is_usual = |port: &str| port.starts_with(|first| matches!(first, '1'..='9'));
    if given.is_some_and(|given| !is_usual(given) || given.parse() != Ok(port)) {
        return false;
    }
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    if hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
        || names
            .secured
            .is_some_and(|secured| secured.is_named(bare.unwrap_or(name)))
    {
        return true;
    }
    // Other machines know this one by other names.
    if !names.is_local {
        return false;
    }
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    match name.strip_prefix('[').map(|name| name.strip_suffix(']')) {
        Some(Some(six)) => six == "::1",
        Some(None) => false,
        // Only the usual form of an address: 127.1 and 0x7f000001 are names to others.
        None => matches!(name.parse(), Ok(IpAddr::V4(four)) if four.is_loopback()),
    }
}

/// Refuses what a web page of another origin sent.
fn check_origin(
    headers: &HeaderMap,
    method: &Method,
    uri: &Uri,
    names: &Names<'_>,
) -> Result<(), Problem> {
    let refused = || {
        let what = "a web page of another origin sent this request; send it from the page's own server \
                    instead";
        Err(Problem::new("cross-origin", what))
    };
    if *method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return refused();
    }
    for site in headers.get_all(SEC_FETCH_SITE) {
        if matches!(site.as_bytes(), b"cross-site" | b"same-site") {
            return refused();
        }
    }
    for origin in headers.get_all(ORIGIN) {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or(uri.authority().map(http::uri::Authority::as_str));
        let origin = origin.to_str().unwrap_or_default();
        let is_own = host.is_some_and(|host| {
            let scheme = if names.secured.is_some() {
                "https://"
            } else {
                "http://"
            };
            let rest = origin.strip_prefix(scheme);
            rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
        });
        let is_listed = || {
            names
                .origins
                .iter()
                .any(|known| known.eq_ignore_ascii_case(origin))
        };
        if !is_own && !is_listed() {
            return refused();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Names, check_method, is_own_name};

    #[test]
    fn a_host_is_compared_whole() {
        let hosts = ["sidecar.internal".to_owned(), "a.example:8443".to_owned()];
        let names = Names {
            port: Some(7417),
            is_local: true,
            hosts: &hosts,
            origins: &[],
            secured: None,
        };
        let is_own = |host| is_own_name(host, 7417, &names);
        for right in [
            "localhost",
            "LOCALHOST:7417",
            "127.0.0.1:7417",
            "127.8.9.1",
            "[::1]",
            "[::1]:7417",
            "sidecar.internal:7417",
            "a.example:8443",
        ] {
            assert!(is_own(right), "{right}");
        }
        for wrong in [
            "localhost.evil.example",
            "localhost:80",
            "localhost:",
            "localhost:+7417",
            "localhost:07417",
            "evil.localhost",
            "127.0.0.1.nip.io",
            "127.1",
            "[::ffff:127.0.0.1]",
            "[::1",
            "::1",
            "10.0.0.1:7417",
            "a.example",
            "sidecar.internal.evil.example",
            "localhost.",
            "",
        ] {
            assert!(!is_own(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_tunnel_is_refused_with_the_place_that_takes_the_call() {
        let told = |port, is_local| {
            let names = Names {
                port,
                is_local,
                hosts: &[],
                origins: &[],
                secured: None,
            };
            let refused = check_method(&Method::CONNECT, &names).unwrap_err();
            refused.detail.clone()
        };
        let detail = told(Some(8080), true);
        assert!(detail.contains(" http://localhost:8080/NAME "), "{detail}");
        for detail in [told(Some(8080), false), told(None, true)] {
            assert!(detail.contains(" /NAME at this listener "), "{detail}");
        }
    }
}
