//! Whose token it is: two configurations that differ in a secret share nothing, in memory or in a
//! store.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use biped_core::{
    Claim, Error, ErrorKind, ExposeSecret, FetchContext, Generation, IdentityKey, Lease,
    LeaseFailure, Provider, ProviderId, SecretRef, StoreError, StoredToken, Token, TokenKey,
    TokenRequest, TokenStore, async_trait, wire,
};
use biped_engine::{TokenSource, TokenState};
use biped_memory::MemoryStore;
use biped_testing::{ManualClock, Reply, TestProvider};
use tempfile::TempDir;

use crate::stage::{Stage, failure, listen, text};

fn inline(secret: &str) -> TestProvider {
    with(SecretRef::inline(secret))
}

fn with(secret: SecretRef) -> TestProvider {
    TestProvider::default().secret(secret)
}

/// A vendor that knows these secrets.
fn accepts(stage: &Stage, good: &[&'static str]) {
    let good = good.to_vec();
    stage.http.answer_with(move |number, request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let is_good = |secret: &&str| body.contains(&format!("client_secret={secret}"));
        if good.iter().any(is_good) {
            Reply::token(&format!("t-{number}"), 1000)
        } else {
            Reply::error(401, "invalid_client")
        }
    });
}

fn is_refusal(error: &Error) -> bool {
    error.kind() == ErrorKind::Refused && error.refuses_client()
}

/// A store that others use as well.
#[derive(Debug)]
struct Store {
    inner: MemoryStore,
    has_key: bool,
    /// What happens when somebody is given the lease, once.
    at_lease: Mutex<Option<(PathBuf, &'static str)>>,
    calls: AtomicUsize,
}

impl Store {
    fn new(clock: &Arc<ManualClock>, has_key: bool) -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryStore::with_clock(clock.clone()),
            has_key,
            at_lease: Mutex::default(),
            calls: AtomicUsize::new(0),
        })
    }

    fn called(&self) -> &MemoryStore {
        self.calls.fetch_add(1, Relaxed);
        &self.inner
    }

    fn take_calls(&self) -> usize {
        self.calls.swap(0, Relaxed)
    }
}

#[async_trait]
impl TokenStore for Store {
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        self.called().get(key).await
    }
    async fn put(
        &self,
        key: &TokenKey,
        token: &StoredToken,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        self.called().put(key, token, lease).await
    }
    async fn forget(
        &self,
        key: &TokenKey,
        through: Generation,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.called().forget(key, through, keep).await
    }
    async fn lease(
        &self,
        key: &TokenKey,
        ttl: Duration,
        renew: Option<&Lease>,
    ) -> Result<Claim, StoreError> {
        if let Some((path, content)) = self.at_lease.lock().unwrap().take() {
            fs::write(path, content).unwrap();
        }
        self.called().lease(key, ttl, renew).await
    }
    async fn release(
        &self,
        key: &TokenKey,
        lease: &Lease,
        failed: Option<LeaseFailure>,
    ) -> Result<(), StoreError> {
        // Longer than a flight waits.
        let failed = failed.map(|failed| LeaseFailure {
            cool_down: Duration::from_secs(60),
            ..failed
        });
        self.called().release(key, lease, failed).await
    }
    async fn identity_key(&self) -> Result<Option<IdentityKey>, StoreError> {
        if !self.has_key {
            return Ok(None);
        }
        self.inner.identity_key().await
    }
}

/// Processes that share a store.
struct Fleet {
    clock: Arc<ManualClock>,
    store: Arc<Store>,
    directory: TempDir,
}

impl Fleet {
    fn new() -> Self {
        Self::with_key(true)
    }

    fn without_key() -> Self {
        Self::with_key(false)
    }

    fn with_key(has_key: bool) -> Self {
        let clock = Arc::new(ManualClock::new());
        let store = Store::new(&clock, has_key);
        let directory = TempDir::new().unwrap();
        Self {
            clock,
            store,
            directory,
        }
    }

    /// A process, where the vendor knows these secrets.
    fn process(&self, good: &[&'static str]) -> Stage {
        let stage = Stage::sharing(&self.clock, &self.store);
        accepts(&stage, good);
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(&self, name: &str, content: &str) -> SecretRef {
        fs::write(self.path(name), content).unwrap();
        SecretRef::file(self.path(name))
    }

    fn command(&self, name: &str) -> SecretRef {
        SecretRef::command(["cat".to_owned(), self.path(name).display().to_string()])
    }
}

/// The token, once the store was told of it as well.
async fn stored(stage: &Stage, source: &TokenSource) -> String {
    let token = text(source).await;
    stage.manager.drain().await;
    token
}

async fn refusal(stage: &Stage, source: &TokenSource) -> Error {
    let error = failure(source).await;
    stage.manager.drain().await;
    assert!(is_refusal(&error), "{error}");
    error
}

#[test]
fn an_id_tells_credentials_apart_by_place_and_value_and_shows_neither_value_nor_digest() {
    let _limit = biped_testing::TimeLimit::start();
    let id = |secret: &SecretRef| ProviderId::new("k", "https://e.example", "c").credential(secret);
    let all = [
        SecretRef::inline("hunter2"),
        SecretRef::inline("hunter3"),
        SecretRef::env("hunter2"),
        SecretRef::file("hunter2"),
        SecretRef::file("/hunter2"),
        SecretRef::command(["hunter2"]),
        SecretRef::command(["vault", "hunter2"]),
        SecretRef::command(["vault", "hunter3"]),
        SecretRef::inline("hunter2").or(&SecretRef::inline("hunter3")),
    ];
    for (at, one) in all.iter().enumerate() {
        for (other_at, other) in all.iter().enumerate() {
            assert_eq!(id(one) == id(other), at == other_at, "{one:?} {other:?}");
        }
    }
    let absolute = std::env::current_dir().unwrap().join("hunter2");
    assert_eq!(
        id(&SecretRef::file("hunter2")),
        id(&SecretRef::file(absolute))
    );
    let [one, two] = [&all[0], &all[1]].map(|it| format!("{:?}", id(it)));
    assert_eq!(one, two, "what is shown of a secret says nothing about it");
    let commands = [&all[6], &all[7]];
    let [one, two] = commands.map(|it| format!("{:?} {}", id(it), it.identity()));
    assert_eq!(one, two, "nor what is shown of a command's arguments");
    let redacted = id(&all[0]).with_redacted("fields", "hunter2");
    assert!(!format!("{redacted:?}").contains("hunter2"));
    assert_ne!(redacted, id(&all[0]).with_redacted("fields", "hunter3"));
}

#[test]
fn the_order_of_credentials_matters_since_each_has_a_role() {
    let _limit = biped_testing::TimeLimit::start();
    let (one, two) = (SecretRef::env("A"), SecretRef::env("B"));
    let id = |a, b| ProviderId::new("k", "e", "c").credential(a).credential(b);
    assert_ne!(id(&one, &two), id(&two, &one));
    let identifier = SecretRef::inline("c");
    let plain = ProviderId::new("k", "e", "c");
    assert_eq!(plain.clone().identifier(&identifier), plain);
    assert_ne!(plain.clone().identifier(&one), plain);
}

#[tokio::test]
async fn another_secret_gets_neither_the_token_nor_the_refusal() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    accepts(&stage, &["right"]);
    let (right, wrong) = (
        stage.source_of(inline("right")),
        stage.source_of(inline("wrong")),
    );
    assert_eq!(text(&right).await, "t-1");
    assert!(wrong.fresh().is_none());
    assert!(is_refusal(&failure(&wrong).await));
    assert_eq!(wrong.status().state, TokenState::Quarantined);
    assert_eq!(right.status().state, TokenState::Fresh);
    stage.advance(1000.0);
    // The refusal still stands there, and stops nobody here.
    assert_eq!(text(&right).await, "t-3");
    let same = stage.source_of(inline("right").named("shop"));
    assert_eq!(text(&same).await, "t-3");
}

#[tokio::test]
async fn a_wrong_secret_takes_no_probe_of_the_right_one() {
    let _limit = biped_testing::TimeLimit::start();
    let stage = Stage::new();
    accepts(&stage, &[]);
    let (right, wrong) = (
        stage.source_of(inline("right")),
        stage.source_of(inline("wrong")),
    );
    failure(&right).await;
    failure(&wrong).await;
    accepts(&stage, &["right"]);
    for _ in 0..75 {
        stage.advance(1.0);
        failure(&wrong).await;
    }
    assert_eq!(stage.http.count(), 3, "the wrong one had its probe");
    assert_eq!(text(&right).await, "t-4");
}

#[tokio::test]
async fn a_wrong_secret_finds_no_token_in_a_store() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let right = fleet.process(&["right"]);
    stored(&right, &right.source_of(inline("right"))).await;
    for secret in [SecretRef::inline("wrong"), fleet.file("secret", "as wrong")] {
        let wrong = fleet.process(&["right"]);
        let source = wrong.source_of(with(secret));
        assert!(source.stored().await.unwrap().is_none());
        refusal(&wrong, &source).await;
        assert_eq!(wrong.http.count(), 1);
    }
    // The place doesn't count, where the value can.
    let other = fleet.process(&[]);
    let source = other.source_of(with(fleet.file("secret", "right")));
    assert_eq!(text(&source).await, "t-1");
    assert_eq!(other.http.count(), 0);
}

#[tokio::test]
async fn a_rotated_secret_costs_a_fleet_one_fetch_and_the_token_in_memory_serves_on() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let secret = fleet.file("secret", "old");
    let processes = [(); 3].map(|()| fleet.process(&["old", "new"]));
    let asked = || -> usize { processes.iter().map(|stage| stage.http.count()).sum() };
    let sources = processes
        .each_ref()
        .map(|stage| stage.source_of(with(secret.clone())));
    for (stage, source) in processes.iter().zip(&sources) {
        stored(stage, source).await;
    }
    assert_eq!(asked(), 1);
    fs::write(fleet.path("secret"), "new").unwrap();
    for source in &sources {
        text(source).await;
    }
    assert_eq!(asked(), 1, "the token in memory serves on");
    fleet.clock.advance(Duration::from_secs(980));
    for (stage, source) in processes.iter().zip(&sources) {
        stored(stage, source).await;
    }
    assert_eq!(asked(), 2);
}

#[tokio::test]
async fn a_secret_that_changes_before_the_fetch_puts_no_token_under_the_old_name() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let secret = fleet.file("secret", "old");
    let process = fleet.process(&["new"]);
    let source = process.source_of(with(secret));
    *fleet.store.at_lease.lock().unwrap() = Some((fleet.path("secret"), "new"));
    stored(&process, &source).await;
    let stale = fleet.process(&["new"]);
    refusal(&stale, &stale.source_of(inline("old"))).await;
    // Nor was the lease kept: the next one who asks with the new secret fetches at once.
    let other = fleet.process(&["new"]);
    stored(&other, &other.source_of(inline("new"))).await;
    assert_eq!(other.http.count(), 1);
}

/// A provider that names a credential which it doesn't read.
#[derive(Debug)]
struct Names(ProviderId);

#[async_trait]
impl Provider for Names {
    fn id(&self) -> &ProviderId {
        &self.0
    }

    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let response = cx.post_form(self.0.token_endpoint(), []).await?;
        let answer = wire::json(&response)?;
        let text = answer["access_token"].as_str().unwrap_or_default();
        Token::new(text, cx.sent_at()).build()
    }
}

#[tokio::test]
async fn where_a_value_cannot_be_read_the_store_is_passed_over() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let missing = SecretRef::file(fleet.path("missing"));
    let id = ProviderId::new("names", "https://login.example/token", "c").credential(&missing);
    let process = fleet.process(&[]);
    process.http.answer_with(|_, _| Reply::token("t", 1000));
    let source = process
        .manager
        .source(Arc::new(Names(id)), TokenRequest::new());
    stored(&process, &source).await;
    assert_eq!(fleet.store.take_calls(), 0);
    assert_eq!(source.store_key().await, None);
    assert_eq!(source.stored().await.unwrap_err().kind(), ErrorKind::Secret);
    assert_eq!(source.forget().await.unwrap_err().kind(), ErrorKind::Store);
    assert!(
        source.fresh().is_none(),
        "it is forgotten here all the same"
    );
    // What the store was not told yet, the next flight tells it.
    fleet.file("missing", "here");
    fleet.clock.advance(Duration::from_secs(2));
    stored(&process, &source).await;
    assert!(fleet.store.take_calls() > 0);
    assert!(source.stored().await.unwrap().is_some());
    source.forget().await.unwrap();
    assert!(source.stored().await.unwrap().is_none());
}

#[tokio::test]
async fn of_a_list_all_members_that_can_be_read_count() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let missing = SecretRef::file(fleet.path("missing"));
    let key = async |secret: SecretRef| {
        let process = fleet.process(&[]);
        process.source_of(with(secret)).store_key().await
    };
    let list = |all: [&SecretRef; 2]| all[0].or(all[1]);
    let [a, b] = ["a", "b"].map(SecretRef::inline);
    let both = key(list([&a, &b])).await.unwrap();
    assert_ne!(key(a.clone()).await.unwrap(), both);
    assert_ne!(key(b.clone()).await.unwrap(), both);
    assert_eq!(key(list([&fleet.file("a", "a"), &b])).await.unwrap(), both);
    assert_eq!(key(list([&missing, &b])).await, key(b.clone()).await);
    assert_eq!(key(list([&missing, &missing])).await, None);

    let process = fleet.process(&["b"]);
    stored(&process, &process.source_of(with(list([&a, &b])))).await;
    let other = fleet.process(&[]);
    text(&other.source_of(with(list([&fleet.file("a", "a"), &b])))).await;
    assert_eq!(other.http.count(), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn of_a_command_the_words_count_and_making_a_key_runs_none() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let marker = fleet.path("ran");
    let touches = SecretRef::command(["touch", &marker.display().to_string()]);
    let process = fleet.process(&[]);
    let source = process.source_of(with(touches));
    assert!(source.store_key().await.is_some());
    assert!(source.stored().await.unwrap().is_none());
    assert!(!marker.exists());
    let [one, two] = ["one", "two"].map(|name| process.source_of(with(fleet.command(name))));
    assert_ne!(one.store_key().await, two.store_key().await);
}

#[cfg(unix)]
#[tokio::test]
async fn one_processes_stale_secret_stops_no_other() {
    let _limit = biped_testing::TimeLimit::start();
    for has_key in [true, false] {
        let fleet = Fleet::with_key(has_key);
        fleet.file("secret", "stale");
        let stale = fleet.process(&["right"]);
        refusal(&stale, &stale.source_of(with(fleet.command("secret")))).await;
        fleet.file("secret", "right");
        let other = fleet.process(&["right"]);
        let source = other.source_of(with(fleet.command("secret")));
        assert_eq!(stored(&other, &source).await, "t-1");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_refusal_is_obeyed_by_those_who_would_send_what_was_refused() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    fleet.file("secret", "stale");
    let list = SecretRef::inline("old").or(&SecretRef::inline("older"));
    let all = [SecretRef::inline("wrong"), list, fleet.command("secret")];
    for secret in all {
        let first = fleet.process(&["right"]);
        refusal(&first, &first.source_of(with(secret.clone()))).await;
        let second = fleet.process(&["right"]);
        let error = refusal(&second, &second.source_of(with(secret.clone()))).await;
        assert_eq!(second.http.count(), 0, "{secret:?}: {error}");
    }
}

#[tokio::test]
async fn a_store_without_a_key_gets_nothing_of_inline_secrets_and_of_clients_without_an_id() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::without_key();
    let nameless =
        || TestProvider::at("https://login.example/token", "").secret(SecretRef::env("PATH"));
    for provider in [|| inline("right"), nameless] {
        let process = fleet.process(&[""]);
        let source = process.source_of(provider());
        stored(&process, &source).await;
        assert_eq!(source.store_key().await, None);
        assert!(source.stored().await.unwrap().is_none());
        let token = source.token().await.unwrap().into_owned();
        source.reject(&token);
        process.manager.drain().await;
        source.forget().await.unwrap();
        assert_eq!(fleet.store.take_calls(), 0);
    }
}

#[tokio::test]
async fn in_a_store_without_a_key_the_place_counts() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::without_key();
    let secret = fleet.file("secret", "right");
    let process = fleet.process(&["right"]);
    stored(&process, &process.source_of(with(secret.clone()))).await;
    let same = fleet.process(&[]);
    assert_eq!(text(&same.source_of(with(secret))).await, "t-1");
    let other = fleet.process(&["wrong"]);
    let elsewhere = fleet.file("elsewhere", "wrong");
    text(&other.source_of(with(elsewhere))).await;
    assert_eq!(other.http.count(), 1);
}

#[tokio::test]
async fn tokens_that_stay_in_the_process_are_revoked_at_its_end() {
    let _limit = biped_testing::TimeLimit::start();
    let revoked = async |fleet: Fleet| {
        let process = fleet.process(&["right"]);
        let provider = Arc::new(Revokes(inline("right")));
        let source = process.manager.source(provider, TokenRequest::new());
        stored(&process, &source).await;
        process.manager.revoke_unshared().await
    };
    assert_eq!(revoked(Fleet::without_key()).await, 1);
    assert_eq!(revoked(Fleet::new()).await, 0);
}

#[derive(Debug)]
struct Revokes(TestProvider);

#[async_trait]
impl Provider for Revokes {
    fn id(&self) -> &ProviderId {
        self.0.id()
    }

    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        self.0.fetch(request, cx).await
    }

    async fn revoke(&self, token: &Token, _: &FetchContext<'_>) -> Result<(), Error> {
        assert!(!token.expose_secret().is_empty());
        Ok(())
    }
}

#[tokio::test]
async fn a_token_rejected_after_its_secret_changed_is_forgotten_under_its_old_name_too() {
    let _limit = biped_testing::TimeLimit::start();
    let fleet = Fleet::new();
    let secret = fleet.file("secret", "old");
    let process = fleet.process(&["old", "new"]);
    let source = process.source_of(with(secret));
    stored(&process, &source).await;
    fs::write(fleet.path("secret"), "new").unwrap();
    fleet.clock.advance(Duration::from_secs(20));
    let token = source.token().await.unwrap().into_owned();
    source.reject(&token);
    process.manager.drain().await;
    let stale = fleet.process(&["old"]);
    stored(&stale, &stale.source_of(inline("old"))).await;
    assert_eq!(stale.http.count(), 1, "the rejected token is still there");
}

#[test]
fn a_store_without_a_key_is_told_of_once() {
    let _limit = biped_testing::TimeLimit::start();
    use tracing_subscriber::layer::SubscriberExt as _;
    let warnings = Arc::new(AtomicUsize::new(0));
    let subscriber = tracing_subscriber::registry().with(Warnings(warnings.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _guard = listen(subscriber);
    for (has_key, expected) in [(false, 1), (true, 0)] {
        let fleet = Fleet::with_key(has_key);
        runtime.block_on(async {
            let process = fleet.process(&["a", "b"]);
            assert_eq!(warnings.load(Relaxed), expected, "when it is made");
            for secret in ["a", "b"] {
                stored(&process, &process.source_of(inline(secret))).await;
            }
        });
        assert_eq!(warnings.swap(0, Relaxed), expected);
        // Without a runtime nobody can be asked yet.
        let process = fleet.process(&["a", "b"]);
        assert_eq!(warnings.load(Relaxed), 0);
        runtime.block_on(async {
            for secret in ["a", "b"] {
                stored(&process, &process.source_of(inline(secret))).await;
            }
        });
        assert_eq!(warnings.swap(0, Relaxed), expected);
    }
}

/// Counts warnings.
struct Warnings(Arc<AtomicUsize>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Warnings {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if *event.metadata().level() == tracing::Level::WARN {
            self.0.fetch_add(1, Relaxed);
        }
    }
}
