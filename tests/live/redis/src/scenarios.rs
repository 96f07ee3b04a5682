//! What is tried, and what is allowed.

use std::{sync::Arc, time::Duration};

use biped::{
    ExposeSecret, TokenManager, TokenRequest,
    envelope::Envelope,
    file::FileStore,
    provider::{Clock, Provider, SecretRef, SystemClock},
    redis::RedisStore,
    reqwest::TokenClient,
    sealed::{SealKey, SealedStore},
    store::{TokenKey, TokenStore},
};
use biped_sandbox::{Effect, Fault, SHOP, Sandbox};

use crate::{
    fleet::{Fleet, Log, News, Setup},
    line::{ATTEMPTS, Line},
    server::Server,
};

/// How many processes a fleet has.
const FLEET: usize = 50;
/// How many run into faults, and how many start in the middle of one.
pub(crate) const FEWER: usize = 20;
pub(crate) const LATE: usize = 4;
/// How long the vendor takes.
const LATENCY: Duration = Duration::from_millis(100);
/// The part of a life after which tokens are renewed, unless it is set.
pub(crate) const REFRESH_AT: f64 = 0.80;
/// Between two calls of a process.
const PAUSE: Duration = Duration::from_millis(20);
/// What a store may cost a call.
pub(crate) const PATIENCE: Duration = Duration::from_millis(300);

pub(crate) async fn run(wanted: &[String], mut found: impl FnMut(Line)) {
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    if wants("fleet") {
        again_if_late(five_expiries, &mut found).await;
    }
    if wants("killed") {
        again_if_late(holder_killed, &mut found).await;
    }
    if wants("sealed") {
        found(sealed().await);
    }
}

/// Runs a scenario in which nothing is done to the store. A process whose store still did not answer in time
/// stood still with the machine, and asked the vendor itself, as it should: then it is tried again. A store
/// that is to blame is late each time.
async fn again_if_late(scenario: impl AsyncFn() -> Line, found: &mut impl FnMut(Line)) {
    for attempt in 1.. {
        let mut line = scenario().await;
        let is_late = line.failed.is_empty() && line.lapses > 0;
        let again = attempt < ATTEMPTS && !line.is_good() && is_late;
        line.again = again;
        found(line);
        if !again {
            break;
        }
    }
}

pub(crate) struct Vendor {
    sandbox: Sandbox,
    pub(crate) lifetime: Duration,
}

impl Vendor {
    pub(crate) async fn start(seconds: u64) -> Self {
        let lifetime = Duration::from_secs(seconds);
        let sandbox = Sandbox::builder().lifetime(lifetime).start().await.unwrap();
        let vendor = Self { sandbox, lifetime };
        vendor.takes(LATENCY);
        vendor
    }

    /// Sets how long it takes to answer.
    fn takes(&self, latency: Duration) {
        let slow = Fault::new(Effect::None)
            .path("/v1/auth/token")
            .latency(latency);
        self.sandbox.clear_faults();
        self.sandbox.fail_next(slow.until_cleared());
    }

    pub(crate) fn token_endpoint(&self) -> String {
        format!("{}/v1/auth/token", self.sandbox.url())
    }

    pub(crate) fn setup(&self, store: Option<String>) -> Setup {
        Setup {
            token_endpoint: self.token_endpoint(),
            store,
            refresh_at: REFRESH_AT,
            pause: PAUSE,
        }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.sandbox.stats().counts.token_requests.total
    }

    /// One to begin with, and one for each time that a token is due.
    pub(crate) fn allowed(&self, elapsed: Duration) -> u64 {
        let every = self.lifetime.mul_f64(REFRESH_AT);
        1 + elapsed.as_millis().div_ceil(every.as_millis()) as u64
    }
}

pub(crate) fn line(scenario: &'static str, requests: u64, log: Log) -> Line {
    let Log {
        calls,
        failed,
        slowest,
        lapses,
        ..
    } = log;
    Line {
        scenario,
        requests,
        allowed: None,
        calls,
        failed,
        slowest,
        lapses,
        without_store: 0,
        limit: None,
        again: false,
    }
}

async fn five_expiries() -> Line {
    let (server, vendor) = (Server::start().await, Vendor::start(4).await);
    let started = SystemClock.now().mono;
    let fleet = Fleet::roll_out(vendor.setup(Some(server.url())), FLEET).await;
    SystemClock.sleep(vendor.lifetime * 5).await;
    let log = fleet.stop().await;
    let elapsed = SystemClock.now().mono - started;
    Line {
        allowed: Some(vendor.allowed(elapsed)),
        ..line("fleet of 50, five expiries", vendor.requests(), log)
    }
}

/// At each expiry whoever asks the vendor is killed while it waits for the answer. The token is
/// renewed early, so that it outlives the dead process's lease.
async fn holder_killed() -> Line {
    const EARLY: f64 = 0.3;
    let (server, vendor) = (Server::start().await, Vendor::start(12).await);
    vendor.takes(LATENCY * 5);
    let setup = Setup {
        refresh_at: EARLY,
        ..vendor.setup(Some(server.url()))
    };
    let started = SystemClock.now().mono;
    let mut fleet = Fleet::start(setup, FLEET);
    // The first token is for everybody; then it is about renewals.
    while fleet.heard().await.1 != News::Done {}
    let first = fleet.take();
    for _ in 0..5 {
        let killed = loop {
            if let (id, News::Fetching) = fleet.heard().await {
                break id;
            }
        };
        SystemClock.sleep(LATENCY * 2).await;
        fleet.kill(killed).await;
        fleet.grow(1);
        while fleet.heard().await.1 != News::Done {}
    }
    let mut log = fleet.stop().await;
    let elapsed = SystemClock.now().mono - started;
    log.failed.extend(first.failed);
    log.slowest = log.slowest.max(first.slowest);
    log.lapses += first.lapses;
    Line {
        allowed: Some(2 * vendor.allowed(elapsed)),
        ..line(
            "the same, each holder killed mid-fetch",
            vendor.requests(),
            log,
        )
    }
}

/// What is in a Redis and on a disk holds no piece of the token, and opens nowhere else.
async fn sealed() -> Line {
    let (server, vendor) = (Server::start().await, Vendor::start(600).await);
    let home = tempfile::tempdir().unwrap();
    let redis = RedisStore::new(&server.url().into()).unwrap();
    let below: [Arc<dyn TokenStore>; 2] = [Arc::new(redis), Arc::new(FileStore::new(home.path()))];
    let mut failed = Vec::new();
    for below in below {
        let store = Arc::new(SealedStore::new(
            below.clone(),
            SealKey::from_bytes([7; 32]),
        ));
        let http = Arc::new(TokenClient::new().unwrap());
        let manager = TokenManager::builder(http).store(store.clone()).build();
        let provider: Arc<dyn Provider> = Arc::new(Envelope::at(
            vendor.token_endpoint().parse().unwrap(),
            SecretRef::inline(SHOP.client_id),
            SecretRef::inline(SHOP.client_secret),
        ));
        let source = manager.source(provider, TokenRequest::new());
        let token = source.token().await.unwrap();
        manager.drain().await;

        let key = source
            .store_key()
            .await
            .expect("it has a name in the store");
        let entry = below.get(&key).await.unwrap().expect("it is stored");
        if store.get(&key).await.unwrap().is_none() {
            failed.push(format!("{below:?}: the entry doesn't open in its place"));
        }
        let elsewhere = TokenKey::from_bytes([9; 32]);
        below.put(&elsewhere, &entry, None).await.unwrap();
        if store.get(&elsewhere).await.unwrap().is_some() {
            failed.push(format!("{below:?}: a copied entry opens"));
        }

        let save = redis::cmd("SAVE")
            .exec_async(&mut server.connection().await)
            .await;
        save.unwrap();
        let mut stored = std::fs::read(server.dump()).unwrap();
        for file in std::fs::read_dir(home.path()).unwrap() {
            stored.extend(std::fs::read(file.unwrap().path()).unwrap());
        }
        let found = |piece: &[u8]| stored.windows(piece.len()).any(|window| window == piece);
        if !found(key.to_string().as_bytes()) && !home.path().join(format!("{key}.token")).exists()
        {
            failed.push(format!("{below:?}: the search finds not even the key"));
        }
        if token.expose_secret().as_bytes().windows(6).any(found) {
            failed.push(format!("{below:?}: a piece of the token is stored"));
        }
    }
    Line {
        allowed: Some(2),
        ..line(
            "sealed, in Redis and on disk",
            vendor.requests(),
            Log {
                failed,
                ..Log::default()
            },
        )
    }
}
