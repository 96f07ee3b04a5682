//! What somebody planted in a store: nothing in there gets further than the vendor's own answer would.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use biped_core::{
    BaseUrls, Clock as _, Error, FetchContext, Generation, Lifetime, MAX_LIFETIME, Provider,
    ProviderId, SecretRef, StoredToken, Timestamp, Token, TokenRequest, TokenStore, async_trait,
};
use biped_engine::TokenSource;
use biped_memory::MemoryStore;
use biped_testing::{ManualClock, Reply, TestProvider, settle};
use serde_json::{Value, json};
use url::Url;

use crate::stage::{Stage, seconds, text};

struct Planted {
    clock: Arc<ManualClock>,
    stage: Stage,
    store: Arc<MemoryStore>,
}

impl Planted {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        let store = Arc::new(MemoryStore::with_clock(clock.clone()));
        let stage = Stage::sharing(&clock, &store);
        stage
            .http
            .answer_with(|number, _| Reply::token(&format!("asked-{number}"), 1000));
        Self {
            clock,
            stage,
            store,
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    /// What a process of the fleet would write.
    fn entry(&self) -> Value {
        let now = self.now();
        json!({
            "v": 1, "token": "planted", "scheme": "Bearer", "token_type": "Bearer",
            "requested_at": now.unix_millis(),
            "expires_at": now.after(seconds(1000.0)).unix_millis(),
        })
    }

    async fn plant(&self, source: &TokenSource, entry: &Value) {
        let stored = StoredToken {
            generation: Generation(u64::try_from(self.now().unix_micros()).unwrap()),
            keep: seconds(1e6),
            bytes: entry.to_string().into_bytes(),
        };
        self.store
            .put(&source.store_key().await.unwrap(), &stored, None)
            .await
            .unwrap();
    }

    /// Whether the entry with these claims is used.
    async fn serves(provider: TestProvider, claims: &[(&str, Value)]) -> bool {
        let planted = Self::new();
        let source = planted.stage.source_of(provider);
        let mut entry = planted.entry();
        for (name, value) in claims {
            entry[*name] = value.clone();
        }
        planted.plant(&source, &entry).await;
        // For people, it is there exactly where it is used.
        let is_shown = source.stored().await.unwrap().is_some();
        let got = text(&source).await;
        assert_eq!(is_shown, got == "planted", "{claims:?}");
        assert_eq!(planted.stage.http.count(), usize::from(got != "planted"));
        got == "planted"
    }
}

fn endpoint(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[tokio::test]
async fn a_base_url_is_taken_from_a_store_only_where_an_answer_could_have_named_it() {
    let _limit = biped_testing::TimeLimit::start();
    let base = |url: &str| [("base_url", Value::from(url))];
    let none = TestProvider::default;
    let some = || {
        let endpoint = endpoint("https://login.example/token");
        none().naming(BaseUrls::at(&["*.vendor.example"], &endpoint))
    };
    let fixed = || none().naming(BaseUrls::fixed(endpoint("https://api.vendor.example/v1")));
    assert!(Planted::serves(none(), &[]).await);
    for url in ["https://eu.vendor.example", "https://evil.example"] {
        assert!(!Planted::serves(none(), &base(url)).await, "{url}");
    }
    assert!(Planted::serves(some(), &base("https://eu.vendor.example/v2")).await);
    assert!(Planted::serves(fixed(), &base("https://api.vendor.example/v1")).await);
    for url in [
        "https://evil.example",
        "https://eu.vendor.example.evil.example",
        "https://evilvendor.example",
        "https://user:password@eu.vendor.example",
        "https://eu.vendor.example@evil.example",
        "https://eu.vendor.example:8443",
        "http://eu.vendor.example",
        "http://127.0.0.1:1",
        "https://localhost",
        "https://eu.vendor.example/?next=1",
        "ftp://eu.vendor.example",
        "https://api.vendor.example/v2#",
    ] {
        assert!(!Planted::serves(some(), &base(url)).await, "{url}");
        assert!(!Planted::serves(fixed(), &base(url)).await, "{url}");
    }
}

#[tokio::test]
async fn a_token_without_an_end_is_taken_from_a_store_only_where_the_vendors_have_none() {
    let _limit = biped_testing::TimeLimit::start();
    let unending = [("expires_at", Value::Null)];
    assert!(!Planted::serves(TestProvider::default(), &unending).await);
    let provider = TestProvider::default().assumed_lifetime(Lifetime::UntilRejected);
    assert!(Planted::serves(provider, &unending).await);
}

#[tokio::test]
async fn a_life_of_centuries_ends_in_a_year_and_one_that_begins_later_begins_now() {
    let _limit = biped_testing::TimeLimit::start();
    let now = Planted::new().now();
    let year = MAX_LIFETIME;
    let later = |years: u32| now.after(year * years).unix_millis();
    for (asked, expires, life) in [
        (now.unix_millis(), later(200), year),
        (later(100), later(200), year),
        (later(100), later(100) + 1_000_000, seconds(1000.0)),
        (now.unix_millis(), i64::MAX, year),
        (i64::MAX, i64::MAX, seconds(0.0)),
    ] {
        let planted = Planted::new();
        let source = planted.stage.source();
        let mut entry = planted.entry();
        entry["requested_at"] = asked.into();
        entry["expires_at"] = expires.into();
        planted.plant(&source, &entry).await;
        let (token, _) = source.stored().await.unwrap().unwrap();
        assert!(token.requested_at() <= planted.now());
        assert_eq!(token.lifetime(), Some(life), "{asked} {expires}");
        let is_used = text(&source).await == "planted";
        assert_eq!(is_used, !life.is_zero());
        planted.clock.advance(life);
        assert!(text(&source).await.starts_with("asked"), "{asked}");
    }
    // Long ago, and a year at most from then.
    let old = now.before(year * 2).unix_millis();
    let claims = [
        ("requested_at", old.into()),
        ("expires_at", later(1).into()),
    ];
    let planted = Planted::new();
    let source = planted.stage.source();
    let mut entry = planted.entry();
    for (name, value) in claims {
        entry[name] = value;
    }
    planted.plant(&source, &entry).await;
    assert!(text(&source).await.starts_with("asked"));
}

#[tokio::test]
async fn a_header_is_made_of_the_stored_text_as_of_an_answers() {
    let _limit = biped_testing::TimeLimit::start();
    for token in ["", "  ", "t\r\nHost: evil", "t\u{7f}", "t\u{e9}", "t\n"] {
        let claims = [("token", Value::from(token))];
        assert!(!Planted::serves(TestProvider::default(), &claims).await);
    }
    for scheme in ["DPoP", "Basic", "bearer", "", "Bearer\r\nX: y", "Bearer x"] {
        let claims = [("scheme", Value::from(scheme))];
        let is_used = Planted::serves(TestProvider::default(), &claims).await;
        assert!(!is_used, "{scheme:?}");
    }
}

#[tokio::test]
async fn an_entry_larger_than_any_answer_is_not_read() {
    let _limit = biped_testing::TimeLimit::start();
    let claims = [("extra", json!({ "x": "x".repeat(3 * 1024 * 1024) }))];
    assert!(!Planted::serves(TestProvider::default(), &claims).await);
}

#[tokio::test]
async fn a_generation_that_no_clock_has_reached_stops_nobody_from_sharing() {
    let _limit = biped_testing::TimeLimit::start();
    let planted = Planted::new();
    let source = planted.stage.source();
    let decades = planted.now().after(MAX_LIFETIME * 50).unix_micros();
    let stored = StoredToken {
        generation: Generation(u64::try_from(decades).unwrap()),
        keep: seconds(1e6),
        bytes: planted.entry().to_string().into_bytes(),
    };
    planted
        .store
        .put(&source.store_key().await.unwrap(), &stored, None)
        .await
        .unwrap();
    assert!(text(&source).await.starts_with("asked"));
}

/// A vendor that answers with whatever base URL it was made with, unchecked; its provider names one
/// host, which depends on a secret.
#[derive(Debug)]
struct Careless {
    id: ProviderId,
    host: SecretRef,
    answers: &'static str,
    read: AtomicUsize,
}

#[async_trait]
impl Provider for Careless {
    fn id(&self) -> &ProviderId {
        &self.id
    }
    async fn base_urls(&self, cx: &FetchContext<'_>) -> Result<BaseUrls, Error> {
        self.read.fetch_add(1, Relaxed);
        let host = cx.identifier(&self.host).await?;
        let endpoint = Url::parse(self.id.token_endpoint()).unwrap();
        Ok(BaseUrls::at(&[host], &endpoint))
    }
    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        Token::new("asked", cx.sent_at())
            .base_url(Url::parse(self.answers).ok())
            .build()
    }
}

fn careless(host: SecretRef, answers: &'static str) -> Arc<Careless> {
    Arc::new(Careless {
        id: ProviderId::new("careless", "https://login.example/token", "a"),
        host,
        answers,
        read: AtomicUsize::new(0),
    })
}

#[tokio::test]
async fn a_provider_that_forgets_to_check_an_answer_is_checked_all_the_same() {
    let _limit = biped_testing::TimeLimit::start();
    let host = || SecretRef::inline("api.vendor.example");
    for (answers, is_good) in [
        ("https://api.vendor.example/v1", true),
        ("https://evil.example", false),
        ("http://api.vendor.example", false),
    ] {
        let stage = Stage::new();
        let provider = careless(host(), answers);
        let source = stage.manager.source(provider, TokenRequest::new());
        assert_eq!(source.token().await.is_ok(), is_good, "{answers}");
    }
}

#[tokio::test]
async fn hosts_that_depend_on_a_secret_are_asked_for_where_they_matter_only() {
    let _limit = biped_testing::TimeLimit::start();
    let planted = Planted::new();
    let provider = careless(
        SecretRef::command(["biped-test-that-nobody-has"]),
        "https://api.vendor.example",
    );
    let source = planted
        .stage
        .manager
        .source(provider.clone(), TokenRequest::new());
    let mut entry = planted.entry();
    planted.plant(&source, &entry).await;
    assert!(source.stored().await.unwrap().is_some());
    assert_eq!(provider.read.load(Relaxed), 0, "it names no base URL");
    settle().await;

    // What only a command could tell is not shown: a look runs none.
    entry["base_url"] = "https://api.vendor.example".into();
    planted.clock.advance(seconds(1.0));
    planted.plant(&source, &entry).await;
    assert!(source.stored().await.unwrap().is_none());
    assert_eq!(provider.read.load(Relaxed), 1);
}
