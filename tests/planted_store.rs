//! Somebody writes to an unsealed store: whatever a token there claims, each provider takes no more of
//! it than of its vendor's own answer.

use std::{sync::Arc, time::Duration};

use biped::{
    ExposeSecret, TokenManager, TokenRequest,
    contentsquare::Contentsquare,
    envelope::Envelope,
    oauth2::OAuth2,
    provider::{Clock, Provider, SecretRef},
    store::{Generation, MemoryStore, StoredToken, TokenStore},
};
use biped_dialect::{Dialect, Vendor};
use biped_testing::{ManualClock, Reply, ScriptedHttp};
use serde_json::{Value, json};
use url::Url;

/// What is claimed beside a token, and whether the vendor's answer could have said so.
type Claims<'a> = &'a [(&'a str, Value)];

/// Whether a token with these claims is used; where it isn't, the vendor is asked.
async fn is_used(provider: Arc<dyn Provider>, request: &TokenRequest, claims: Claims<'_>) -> bool {
    let clock = Arc::new(ManualClock::new());
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let http = Arc::new(ScriptedHttp::new());
    http.answer_with(|_, _| Reply::error(401, "invalid_client"));
    let manager = TokenManager::builder(http.clone())
        .clock(clock.clone())
        .store(store.clone())
        .build();
    let source = manager.source(provider, request.clone());

    let now = clock.now().wall;
    let expiry = now.after(Duration::from_secs(3600));
    let mut entry = json!({
        "v": 1, "token": "planted", "scheme": "Bearer", "token_type": "Bearer",
        "requested_at": now.unix_millis(), "expires_at": expiry.unix_millis(),
    });
    for (name, value) in claims {
        entry[*name] = value.clone();
    }
    let stored = StoredToken {
        generation: Generation(u64::try_from(now.unix_micros()).unwrap()),
        keep: Duration::from_secs(3600),
        bytes: entry.to_string().into_bytes(),
    };
    let key = source.store_key().await.unwrap();
    store.put(&key, &stored, None).await.unwrap();

    let is_shown = source.stored().await.unwrap().is_some();
    let token = source.token().await;
    let is_used = token.is_ok_and(|token| token.expose_secret() == "planted");
    assert_eq!(is_shown, is_used, "{claims:?}");
    assert_eq!(http.count() == 0, is_used, "{claims:?}");
    is_used
}

fn base(url: &str) -> [(&str, Value); 1] {
    [("base_url", url.into())]
}

/// What none of these vendors says.
fn lies() -> Vec<[(&'static str, Value); 1]> {
    vec![
        base("https://evil.example"),
        base("https://api.contentsquare.com.evil.example"),
        base("https://user:pw@api.contentsquare.com"),
        base("https://api.vendor.example:8443"),
        base("https://user@api.vendor.example"),
        base("https://evilapi.vendor.example"),
        base("http://api.vendor.example"),
        base("http://127.0.0.1:1"),
        [("expires_at", Value::Null)],
        [("scheme", "DPoP".into())],
        [("scheme", "Basic".into())],
        [("token", "t\r\nX: y".into())],
    ]
}

async fn takes_no_lies(provider: &Arc<dyn Provider>, request: &TokenRequest) {
    for lie in lies() {
        assert!(
            !is_used(provider.clone(), request, &lie).await,
            "{:?} takes {lie:?}",
            provider.id().kind()
        );
    }
}

#[tokio::test]
async fn contentsquare_takes_its_own_hosts_and_the_project_that_was_asked_for() {
    let provider: Arc<dyn Provider> = Arc::new(Contentsquare::new(
        SecretRef::inline("id"),
        SecretRef::inline("secret"),
    ));
    let request = TokenRequest::new()
        .scope("data-export")
        .param("project_id", 42);
    let own = base("https://api.eu-west-1.production.contentsquare.com");
    assert!(is_used(provider.clone(), &request, &own).await);
    let of = |project: i64| [("extra", json!({ "project_id": project }))];
    assert!(is_used(provider.clone(), &request, &of(42)).await);
    assert!(!is_used(provider.clone(), &request, &of(7)).await);
    takes_no_lies(&provider, &request).await;
}

#[tokio::test]
async fn envelope_takes_the_configured_base_url_only() {
    let url = Url::parse("https://api.vendor.example/v1").unwrap();
    let (id, secret) = (SecretRef::inline("id"), SecretRef::inline("secret"));
    let provider: Arc<dyn Provider> = Arc::new(Envelope::new(&url, id, secret));
    let request = TokenRequest::new();
    assert!(is_used(provider.clone(), &request, &base(url.as_str())).await);
    let other_path = base("https://api.vendor.example/v2");
    assert!(!is_used(provider.clone(), &request, &other_path).await);
    takes_no_lies(&provider, &request).await;
}

#[tokio::test]
async fn oauth2_takes_no_base_url_and_bearer_tokens_only() {
    let endpoint = Url::parse("https://login.vendor.example/token").unwrap();
    let provider = OAuth2::at(endpoint, SecretRef::inline("id"));
    let provider: Arc<dyn Provider> = Arc::new(provider.client_secret(SecretRef::inline("s")));
    let request = TokenRequest::new();
    for (token_type, is_good) in [("bearer", true), ("DPoP", false), ("mac", false)] {
        let claims = [("token_type", Value::from(token_type))];
        let used = is_used(provider.clone(), &request, &claims).await;
        assert_eq!(used, is_good, "{token_type}");
    }
    let own = base("https://login.vendor.example");
    assert!(!is_used(provider.clone(), &request, &own).await);
    takes_no_lies(&provider, &request).await;
}

const DIALECT: &str = r#"
    url = "https://login.vendor.example/token"
    [response]
    base_url = "/api"
    base_url_hosts = ["api.vendor.example", "{cloud}"]
    export = { shard = "/shard" }
    [attach]
    headers = { Authorization = "Bearer {token}", X-Shard = "{shard}", X-Key = "{key}" }
    [about]
    title = "Vendor"
    docs = "https://vendor.example/docs"
    checked = 2026-11-22
    params = { cloud = "its host", key = "a key" }
"#;

#[tokio::test]
async fn a_dialect_takes_what_its_file_exports_and_the_hosts_that_it_names() {
    let dialect = |text: &str| Arc::new(Dialect::from_toml(text, "mine.toml").unwrap());
    let vendor = Vendor::builder(dialect(DIALECT))
        .client_id(SecretRef::inline("id"))
        .client_secret(SecretRef::inline("secret"))
        .param("cloud", SecretRef::inline("https://eu.cloud.example"))
        .param("key", SecretRef::inline("k-1"));
    let provider: Arc<dyn Provider> = Arc::new(vendor.build().unwrap());
    let request = TokenRequest::new().param("key", "k-2");
    let with = |extra: Value| vec![("extra", extra)];
    let good = json!({ "shard": "s-1", "key": "k-2" });
    assert!(is_used(provider.clone(), &request, &with(good.clone())).await);
    for extra in [
        json!({}),
        json!({ "key": "k-2" }),
        json!({ "shard": "s-1" }),
        json!({ "shard": 7, "key": "k-2" }),
        // It would stand for what the request, or the configuration, says.
        json!({ "shard": "s-1", "key": "k-3" }),
        json!({ "shard": "s-1", "key": "k-2", "cloud": "evil.example" }),
        json!({ "shard": "s-1", "key": "k-2", "client_secret": "x" }),
    ] {
        let claims = with(extra);
        let used = is_used(provider.clone(), &request, &claims).await;
        assert!(!used, "{claims:?}");
    }
    for (url, is_good) in [
        ("https://api.vendor.example/v1", true),
        ("https://eu.cloud.example", true),
        ("https://us.cloud.example", false),
        ("https://evil.example", false),
    ] {
        let claims = [("extra", good.clone()), ("base_url", url.into())];
        let used = is_used(provider.clone(), &request, &claims).await;
        assert_eq!(used, is_good, "{url}");
    }

    let plain = "url = \"https://login.vendor.example/token\"";
    let unending = format!("{plain}\n[response]\nlifetime = false");
    for (text, lives_on) in [(plain, false), (&*unending, true)] {
        let vendor = Vendor::builder(dialect(text))
            .client_id(SecretRef::inline("id"))
            .client_secret(SecretRef::inline("secret"));
        let provider: Arc<dyn Provider> = Arc::new(vendor.build().unwrap());
        let request = TokenRequest::new();
        let claims = [("expires_at", Value::Null)];
        let used = is_used(provider.clone(), &request, &claims).await;
        assert_eq!(used, lives_on, "{text}");
        let named = base("https://api.vendor.example");
        assert!(!is_used(provider, &request, &named).await, "{text}");
    }
}
