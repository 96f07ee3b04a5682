//! One process of a fleet: asks for a token again and again, until its stdin ends.
//!
//! It prints a line for each thing that others want to know: `F` and `D` around a token request,
//! `B` after its first call, `E why` for a call that failed, `S milliseconds` for a slow one, `R calls` now and then; `X` when its
//! store fails and `K` when it works again; at its end `O count` of the operations of its store, and
//! `C milliseconds` of CPU.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use biped::{
    Error, Settings, TokenManager, TokenRequest,
    client::HttpClient,
    envelope::Envelope,
    postgres::PostgresStore,
    provider::{Clock, SecretRef, SystemClock},
    redis::{RedisStore, Sentinel},
    reqwest::TokenClient,
    sealed::{SealKey, SealedStore},
    store::{
        Claim, Generation, Lease, LeaseFailure, StoreError, StoredToken, TokenKey, TokenStore,
    },
};
use biped_sandbox::SHOP;
use bytes::Bytes;
use tokio::io::AsyncReadExt;

/// What is worth a line.
const SLOW: Duration = Duration::from_millis(20);

/// Counts what is asked of a store, and tells when it fails and when it works again.
#[derive(Debug)]
struct Counting {
    store: Arc<dyn TokenStore>,
    operations: Arc<AtomicU64>,
    fails: AtomicBool,
}

/// An operation that has not ended. Dropping it is how a caller gives up.
struct Asked<'a>(&'a AtomicBool);

impl Asked<'_> {
    fn ended(self, fails: bool) {
        if self.0.swap(fails, Ordering::Relaxed) != fails {
            println!("{}", if fails { "X" } else { "K" });
        }
        std::mem::forget(self);
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        Asked(self.0).ended(true);
    }
}

impl Counting {
    fn new(store: Arc<dyn TokenStore>, operations: Arc<AtomicU64>) -> Self {
        Self {
            store,
            operations,
            fails: AtomicBool::new(false),
        }
    }

    async fn asked<T>(
        &self,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.operations.fetch_add(1, Ordering::Relaxed);
        let asked = Asked(&self.fails);
        let answer = answer.await;
        asked.ended(answer.is_err());
        answer
    }
}

#[async_trait]
impl TokenStore for Counting {
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        self.asked(self.store.get(key)).await
    }

    async fn put(
        &self,
        key: &TokenKey,
        token: &StoredToken,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        self.asked(self.store.put(key, token, lease)).await
    }

    async fn forget(
        &self,
        key: &TokenKey,
        through: Generation,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.asked(self.store.forget(key, through, keep)).await
    }

    async fn lease(
        &self,
        key: &TokenKey,
        ttl: Duration,
        renew: Option<&Lease>,
    ) -> Result<Claim, StoreError> {
        self.asked(self.store.lease(key, ttl, renew)).await
    }

    async fn release(
        &self,
        key: &TokenKey,
        lease: &Lease,
        failed: Option<LeaseFailure>,
    ) -> Result<(), StoreError> {
        self.asked(self.store.release(key, lease, failed)).await
    }

    async fn changed(&self, key: &TokenKey, after: Generation) -> Result<(), StoreError> {
        // Whoever waits gives up when its time is over, not because the store fails.
        self.operations.fetch_add(1, Ordering::Relaxed);
        self.store.changed(key, after).await
    }

    fn rest(&self) -> Duration {
        self.store.rest()
    }
}

/// The time of a processor that this process has taken, in milliseconds.
fn cpu() -> u64 {
    // proc_pid_stat(5): user and system time in hundredths of a second, after the name in parentheses.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let times = fields.split_whitespace().skip(11).take(2);
    times
        .filter_map(|time| time.parse::<u64>().ok())
        .sum::<u64>()
        * 10
}

/// Tells of its requests.
#[derive(Debug)]
struct Telling(TokenClient);

#[async_trait]
impl HttpClient for Telling {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Error> {
        println!("F");
        let answer = self.0.send(request).await;
        println!("D");
        answer
    }
}

/// The store at a URL, or of what follows `cluster` or `sentinel`.
fn open(store: &str) -> Arc<dyn TokenStore> {
    let mut words = store.split(' ');
    let kind = words.next().unwrap();
    let urls: Vec<_> = words.map(|url| url.to_owned().into()).collect();
    match kind {
        "cluster" => Arc::new(RedisStore::cluster(&urls, None).unwrap()),
        "sentinel" => {
            let named = Sentinel::new("mymaster");
            Arc::new(RedisStore::sentinel(&urls, None, named).unwrap())
        }
        url if url.starts_with("postgres") => {
            Arc::new(PostgresStore::new(&url.to_owned().into()).unwrap())
        }
        url => Arc::new(RedisStore::new(&url.to_owned().into()).unwrap()),
    }
}

/// Runs with `TOKEN_ENDPOINT STORE_URL REFRESH_AT MILLISECONDS`; `-` is no store.
pub(crate) fn run(arguments: &[String]) {
    let [token_endpoint, store, refresh_at, pause] = arguments else {
        panic!("worker TOKEN_ENDPOINT STORE_URL REFRESH_AT MILLISECONDS");
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let pause = Duration::from_millis(pause.parse().unwrap());
        let operations = Arc::new(AtomicU64::new(0));
        let settings = Settings::default().refresh_at(refresh_at.parse().unwrap());
        let http = Arc::new(Telling(TokenClient::new().unwrap()));
        let mut manager = TokenManager::builder(http).settings(settings);
        if store != "-" {
            // Sealed: only then are tokens of inline secrets shared.
            let counting = Arc::new(Counting::new(open(store), operations.clone()));
            let sealed = SealedStore::new(counting, SealKey::from_bytes([7; 32]));
            manager = manager.store(Arc::new(sealed));
        }
        let secret = SecretRef::inline(SHOP.client_secret);
        let client = SecretRef::inline(SHOP.client_id);
        let provider = Envelope::at(token_endpoint.parse().unwrap(), client, secret);
        let source = manager
            .build()
            .source(Arc::new(provider), TokenRequest::new());

        let mut stdin = tokio::io::stdin();
        let mut byte = [0];
        let mut calls = 0_u64;
        let mut has_begun = false;
        loop {
            let started = SystemClock.now().mono;
            if let Err(error) = source.token().await {
                println!("E {error}");
            }
            if !std::mem::replace(&mut has_begun, true) {
                println!("B");
            }
            calls += 1;
            if calls == 25 {
                println!("R {calls}");
                calls = 0;
            }
            let took = SystemClock.now().mono - started;
            if took > SLOW {
                println!("S {}", took.as_millis());
            }
            tokio::select! {
                _ = stdin.read(&mut byte) => break,
                () = SystemClock.sleep(pause) => {}
            }
        }
        println!("R {calls}");
        println!("O {}", operations.load(Ordering::Relaxed));
        println!("C {}", cpu());
    });
    // The runtime has a thread that reads stdin; nobody waits for it.
    std::process::exit(0);
}
