//! What callers and APIs send, read as the sidecar reads it. Only the fuzz targets use this, with the
//! feature `fuzzing`; it may change in any release.

use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use url::Url;

use crate::{
    allow::Rule,
    callers, guard,
    links::{self, Attached, Place},
    oauth, params, target,
};

/// Reads a path: the provider's name, the start as it was written, and the rest.
#[must_use]
pub fn path<'p>(path: &'p str, query: Option<&str>) -> Option<(&'p str, &'p str, &'p str)> {
    target::check(path, query).ok()?;
    let target = target::split(path).ok()?;
    target::is_servable(target.name).then_some((target.name, target.prefix, target.rest))
}

/// Reads the parameters in a path and in headers, and returns what tells them from others.
pub fn parameters<'h>(
    path: &str,
    headers: impl IntoIterator<Item = (&'h str, &'h str)>,
) -> Option<String> {
    let target = target::split(path).ok()?;
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            map.append(name, value);
        }
    }
    let selection = params::TokenSelection::read(&target.params, &map).ok()?;
    Some(selection.key(target.name))
}

/// Whether a rule allows a call; `None` if it is not a rule.
#[must_use]
pub fn allows(rule: &str, method: &str, path: &str) -> Option<bool> {
    Some(Rule::parse(rule)?.matches(method, path))
}

/// Rewrites `Location`.
#[must_use]
pub fn location(base: &Url, called: &Url, value: &str) -> Option<String> {
    rewritten(base, called, &header::LOCATION, value)
}

/// Rewrites `Link`.
#[must_use]
pub fn link(base: &Url, called: &Url, value: &str) -> Option<String> {
    rewritten(base, called, &header::LINK, value)
}

fn rewritten(base: &Url, called: &Url, name: &HeaderName, value: &str) -> Option<String> {
    let mut headers = HeaderMap::new();
    headers.insert(name, HeaderValue::try_from(value).ok()?);
    let prefix = "/shop";
    links::rewrite(
        &mut headers,
        Place {
            base,
            called,
            prefix,
            attached: &Attached::default(),
        },
    );
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// Reads the form of a token request: the fields that choose the token.
#[must_use]
pub fn form(body: &[u8]) -> Option<Vec<(String, String)>> {
    oauth::read_form(body)
}

/// Whether a listener on this machine, at port 7417, takes a request with these headers.
#[must_use]
pub fn admits<'h>(
    method: &str,
    target: &str,
    headers: impl IntoIterator<Item = (&'h str, &'h str)>,
    hosts: &[String],
) -> Option<bool> {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .body(())
        .ok()?;
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            request.headers_mut().append(name, value);
        }
    }
    let names = guard::Names {
        port: Some(7417),
        is_local: true,
        hosts,
        origins: &[],
        secured: None,
    };
    Some(guard::check(&request, &names).is_ok())
}

/// Reads what a caller proves itself with: `Authorization`, and its `Basic` form alone.
#[must_use]
pub fn credentials(authorization: &str) -> (Vec<String>, Option<(String, String)>) {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::try_from(authorization) {
        headers.insert(header::AUTHORIZATION, value);
    }
    (
        callers::credentials(&headers),
        callers::basic(authorization),
    )
}
