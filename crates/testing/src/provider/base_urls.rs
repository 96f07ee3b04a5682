//! Checks of base URLs: a token is sent only to its vendor.
// A check reports a broken promise by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use biped_core::{BaseUrls, ErrorKind, FetchContext, Provider, Token, is_loopback};
use http::HeaderValue;
use url::Url;

use super::{
    case::{Answer, Case, NamesBaseUrl},
    fetched::fetch,
};
use crate::{ManualClock, ScriptedHttp};

/// A token is sent only to the vendor's own hosts, which `base_urls` returns. If a response names a base
/// URL, similar ones are refused. A case can't leave this unchecked.
///
/// # Panics
/// Panics if the provider breaks the promise, and if the case lacks what the check needs.
pub async fn a_base_url_is_checked(provider: &dyn Provider, case: &Case) {
    let named = declared(provider).await;
    let (_, granting) = case.granted();
    let granted = fetch(provider, case, granting).await.outcome;
    let base = granted.ok().and_then(|token| token.base_url().cloned());
    if let Some(base) = &base {
        assert!(
            named.covers(base),
            "base_urls does not contain {base}, the base URL of a token"
        );
    }
    if let Some(fixed) = named.fixed_url() {
        assert_same!(
            base.as_ref(),
            Some(fixed),
            "a token does not carry the fixed base URL"
        );
        return;
    }
    match (&case.base_urls, base) {
        (Some(told), _) => as_told(provider, case, &named, told).await,
        (None, Some(base)) => as_granted(provider, case, granting, &base).await,
        (None, None) => assert!(
            named.is_none(),
            "base_urls says that answers name base URLs, and no answer of the case does; see \
             Case::names_base_url"
        ),
    }
}

/// The base URLs that the vendor may name, according to the provider.
pub(super) async fn declared(provider: &dyn Provider) -> BaseUrls {
    let (http, clock) = (ScriptedHttp::new(), ManualClock::new());
    let cx = FetchContext::new(&http, &clock).with_plain_http(provider.plain_http());
    let named = provider.base_urls(&cx).await;
    assert_same!(http.count(), 0, "base_urls sends a request");
    match named {
        Ok(named) => named,
        Err(error) => panic!("base_urls fails: {error}"),
    }
}

/// Base URLs in the response that the case gives.
async fn as_told(provider: &dyn Provider, case: &Case, named: &BaseUrls, told: &NamesBaseUrl) {
    let NamesBaseUrl { trusted, answer } = told;
    let read = async |url: &str| {
        let answer = Answer::of(answer(url));
        fetch(provider, case, &answer).await.outcome
    };
    match read(trusted).await {
        Ok(token) => {
            let base = token.base_url().map(Url::as_str);
            let base = base.map(|url| url.trim_end_matches('/'));
            assert_same!(base, Some(trusted.trim_end_matches('/')));
            let is_covered = token.base_url().is_some_and(|url| named.covers(url));
            assert!(is_covered, "base_urls does not cover {trusted}");
        }
        Err(error) => panic!("{trusted} is refused: {error}"),
    }
    let host = trusted.trim_start_matches("https://").trim_end_matches('/');
    let good = Url::parse(trusted).expect("the trusted base URL is not a valid URL");
    let mut all = hostile(&good, provider);
    all.extend([
        format!("https://evil{host}"),
        format!("//{host}"),
        host.to_owned(),
    ]);
    for url in all {
        match read(&url).await {
            // Some providers read a bare host as well, and find the trusted one in it.
            Ok(token) if token.base_url().is_some_and(|base| is_at(base, &good)) => {}
            Ok(token) => accepted(&url, &token),
            Err(error) => assert_same!(error.kind(), ErrorKind::InvalidResponse, "{url}: {error}"),
        }
    }
}

/// Hostile base URLs in place of the one in the granting response.
async fn as_granted(provider: &dyn Provider, case: &Case, granting: &Answer, base: &Url) {
    let host = base.host_str().unwrap_or_default();
    let whole = base.as_str();
    let forms = [whole, whole.trim_end_matches('/')].map(str::to_owned);
    let escaped = forms.clone().map(|form| form.replace('/', "\\/"));
    let is_there = |form: &&String| contains(granting, form);
    let (form, scheme) = match forms.iter().chain(&escaped).find(is_there) {
        Some(form) => (form.as_str(), ""),
        None if contains(granting, host) => (host, "https://"),
        None => panic!(
            "the granting answer doesn't hold {base} as it is, so that no other could be put in its \
             place; see Case::names_base_url"
        ),
    };
    for url in hostile(base, provider) {
        // If the response contains only a host, so does the hostile one.
        let Some(put) = url.strip_prefix(scheme) else {
            continue;
        };
        let answer = replaced(granting, form, put);
        match fetch(provider, case, &answer).await.outcome {
            Ok(token) if token.base_url() == Some(base) => panic!(
                "the base URL is not read where the granting answer holds it; see \
                 Case::names_base_url"
            ),
            Ok(token) => accepted(&url, &token),
            Err(error) => assert_same!(error.kind(), ErrorKind::InvalidResponse, "{url}: {error}"),
        }
    }
}

/// Reports that a hostile base URL was accepted.
fn accepted(named: &str, token: &Token) -> ! {
    match token.base_url() {
        Some(base) => panic!("a token would be sent to {base}; the response names {named}"),
        None => panic!("the response names {named}, which is not refused"),
    }
}

/// Whether a token that is sent to `url` gets to the origin of `good`, and nothing else does.
fn is_at(url: &Url, good: &Url) -> bool {
    url.origin() == good.origin() && url.username().is_empty() && url.password().is_none()
}

/// Base URLs that resemble `good`, and are not at its origin. A token endpoint on this machine, as in
/// tests, allows each base URL on it.
pub(super) fn hostile(good: &Url, provider: &dyn Provider) -> Vec<String> {
    let host = good.host_str().unwrap_or_default();
    let mut all = vec![
        "https://evil.example".to_owned(),
        format!("https://{host}.evil.example"),
        format!("https://{host}@evil.example"),
        format!("https://user:pw@{host}"),
        format!("ftp://{host}"),
    ];
    if !is_loopback(good) {
        all.extend([format!("https://{host}:8443"), format!("http://{host}")]);
        let endpoint = Url::parse(provider.id().token_endpoint());
        if !endpoint.is_ok_and(|endpoint| is_loopback(&endpoint)) {
            all.extend(["http://127.0.0.1:1", "https://localhost"].map(str::to_owned));
        }
    }
    // The base URL of a configuration may have a port, or be without TLS.
    all.retain(|url| !Url::parse(url).is_ok_and(|url| is_at(&url, good)));
    all
}

fn contains(answer: &Answer, text: &str) -> bool {
    let holds = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(text);
    let mut headers = answer.headers.values();
    holds(&answer.body) || headers.any(|value| holds(value.as_bytes()))
}

fn replaced(answer: &Answer, text: &str, other: &str) -> Answer {
    let change = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(text, other);
    let mut changed = answer.with_body(change(&answer.body));
    for value in changed.headers.values_mut() {
        if let Ok(new) = HeaderValue::from_str(&change(value.as_bytes())) {
            *value = new;
        }
    }
    changed
}
