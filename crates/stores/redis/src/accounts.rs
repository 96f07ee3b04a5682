//! [`Accounts`]: credentials that change with each use.
//!
//! A server that may lose its last writes is refused: a lost refresh token is a lost account. What the
//! server says about itself is read before each lock and each load, since it may be configured anew.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use biped_core::{AccountKey, DurableEntry, DurableLock, DurableStore, Revision, StoreError};
use redis::{FromRedisValue, Pipeline, RedisResult, Value};

use crate::{address::Target, scripts::Source, server::Server};

/// How long a lock lasts.
const LEASE: Duration = Duration::from_secs(15);
/// The longest time that an operation takes. It is longer than that of tokens, since the server waits for
/// its disk.
const LIMIT: Duration = Duration::from_secs(4);

/// What the server must have, and what it means otherwise.
const REQUIRED: [(&str, &str, &str); 5] = [
    (
        "cluster-enabled",
        "no",
        "it is a node of a cluster, which may lose its last writes in a fail-over; use a single primary",
    ),
    (
        "appendonly",
        "yes",
        "appendonly is off; set appendonly to yes and appendfsync to always",
    ),
    (
        "appendfsync",
        "always",
        "appendfsync is weaker than always; set it to always",
    ),
    (
        "no-appendfsync-on-rewrite",
        "no",
        "no-appendfsync-on-rewrite is on; set it to no",
    ),
    (
        "maxmemory-policy",
        "noeviction",
        "maxmemory-policy evicts entries; set it to noeviction",
    ),
];

/// The accounts of a store.
pub(crate) struct Accounts(Arc<Inner>);

struct Inner {
    server: Server,
    prefix: String,
    scripts: Scripts,
    is_vouched_for: AtomicBool,
}

struct Scripts {
    swap: Source,
    lock: Source,
    unlock: Source,
}

struct Lock {
    accounts: Weak<Inner>,
    keys: [String; 2],
    id: String,
}

impl Accounts {
    /// The accounts at a server, on a connection that tokens don't use.
    pub(crate) fn of(server: &Server, prefix: &str) -> Self {
        Self(Arc::new(Inner {
            server: server.apart(LIMIT),
            prefix: prefix.to_owned(),
            scripts: Scripts {
                swap: Source::new(include_str!("scripts/swap.lua")),
                lock: Source::new(include_str!("scripts/lock.lua")),
                unlock: Source::new(include_str!("scripts/unlock.lua")),
            },
            is_vouched_for: AtomicBool::new(false),
        }))
    }
}

impl Inner {
    fn keys(&self, key: &AccountKey) -> [String; 2] {
        ["account", "lock"].map(|what| format!("{}:{{{key}}}:1:{what}", self.prefix))
    }

    /// Checks that the server keeps what it is given.
    async fn vouch(&self) -> Result<(), StoreError> {
        match &self.server.target {
            Target::One(_) => {}
            #[cfg(feature = "cluster")]
            Target::Cluster(_) => {
                return Err(self.unfit(
                    "a cluster may lose its last writes in a fail-over; use a single primary",
                ));
            }
            #[cfg(feature = "sentinel")]
            Target::Sentinel(_) => {
                return Err(self
                    .unfit("servers behind sentinels may lose their last writes in a fail-over; use a single primary"));
            }
        }
        let mut questions = Pipeline::new();
        questions.cmd("ROLE");
        for (setting, _, _) in REQUIRED {
            questions.cmd("CONFIG").arg("GET").arg(setting);
        }
        let answers: Vec<Value> = self.server.ask(questions).await.map_err(|error| {
            let (role, config) = ("+role", "+config|get");
            StoreError::new(format!(
                "{error}; the user needs {role} and {config} to see whether the server keeps a refresh \
                 token that changes with each use"
            ))
        })?;
        let unreadable = |_| self.server.refused("responds with something unexpected");
        let flaw = flaw(answers).map_err(unreadable)?;
        flaw.map_or(Ok(()), |flaw| Err(self.unfit(flaw)))?;
        self.is_vouched_for.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn unfit(&self, why: &str) -> StoreError {
        self.server.refused(&format!(
            "can't keep a refresh token that changes with each use: {why}, or use kind = \"postgres\" \
             or \"file\""
        ))
    }
}

/// What makes the server unfit.
fn flaw(answers: Vec<Value>) -> RedisResult<Option<&'static str>> {
    let mut answers = answers.into_iter();
    let role = Vec::<Value>::from_redis_value(answers.next().unwrap_or(Value::Nil))?;
    let role = role.into_iter().next().unwrap_or(Value::Nil);
    if String::from_redis_value(role)? != "master" {
        return Ok(Some("it is not a primary; set url to the primary"));
    }
    for ((setting, expected, meaning), answer) in REQUIRED.into_iter().zip(answers) {
        let found = HashMap::<String, String>::from_redis_value(answer)?;
        if found.get(setting).map(String::as_str) != Some(expected) {
            return Ok(Some(meaning));
        }
    }
    Ok(None)
}

#[async_trait]
impl DurableStore for Accounts {
    async fn load(&self, key: &AccountKey) -> Result<Option<DurableEntry>, StoreError> {
        self.0.vouch().await?;
        let [account, _] = self.0.keys(key);
        let mut read = Pipeline::new();
        read.cmd("HMGET").arg(account).arg(&["r", "b"]);
        let [found]: [(Option<u64>, Option<Vec<u8>>); 1] = self.0.server.ask(read).await?;
        match found {
            (None, None) => Ok(None),
            (Some(revision), Some(bytes)) => Ok(Some(DurableEntry {
                revision: Revision(revision),
                bytes,
            })),
            _ => Err(self
                .0
                .server
                .refused("has an entry of another layout; set another prefix")),
        }
    }

    async fn swap(
        &self,
        key: &AccountKey,
        expected: Revision,
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        // A credential that was received is written, whatever the server has become since.
        if !self.0.is_vouched_for.load(Ordering::Relaxed) {
            self.0.vouch().await?;
        }
        let swap = &self.0.scripts.swap;
        let id = fastrand::u128(..);
        let written: u8 = self
            .0
            .server
            .run(swap, &self.0.keys(key), |script| {
                script
                    .arg(expected.0)
                    .arg(expected.next().0)
                    .arg(bytes)
                    .arg(format!("{id:032x}"));
            })
            .await?;
        Ok(written == 1)
    }

    async fn lock(&self, key: &AccountKey) -> Result<Option<Box<dyn DurableLock>>, StoreError> {
        self.0.vouch().await?;
        let lock = Lock {
            accounts: Arc::downgrade(&self.0),
            keys: self.0.keys(key),
            id: format!("{:032x}", fastrand::u128(..)),
        };
        let take = &self.0.scripts.lock;
        let taken: u8 = self
            .0
            .server
            .run(take, &lock.keys, |script| {
                let millis = u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX);
                script.arg(&lock.id).arg(millis);
            })
            .await?;
        Ok((taken == 1).then(|| Box::new(lock) as Box<dyn DurableLock>))
    }
}

#[async_trait]
impl DurableLock for Lock {
    fn lease(&self) -> Option<Duration> {
        Some(LEASE)
    }

    async fn unlock(self: Box<Self>) {
        let Some(accounts) = self.accounts.upgrade() else {
            return;
        };
        let unlock = &accounts.scripts.unlock;
        // One that can't be given back ends by itself.
        let _: Result<u8, _> = accounts
            .server
            .run(unlock, &self.keys, |script| {
                script.arg(&self.id);
            })
            .await;
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts")
            .field("url", &self.0.server.shown)
            .field("prefix", &self.0.prefix)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [account, _] = &self.keys;
        f.debug_struct("Lock")
            .field("account", account)
            .finish_non_exhaustive()
    }
}
