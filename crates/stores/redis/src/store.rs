//! [`RedisStore`]: tokens that a fleet shares.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use biped_core::{
    Claim, DurableStore, Error, Generation, Lease, LeaseFailure, LeaseId, SecretString, StoreError,
    StoredToken, TokenKey, TokenStore,
};

#[cfg(feature = "sentinel")]
use crate::sentinel::Sentinel;
use crate::{
    accounts::Accounts,
    address::Address,
    link::{LIMIT, Names},
    scripts::Scripts,
    server::Server,
};

/// The default prefix of every key.
pub const DEFAULT_PREFIX: &str = "biped";

/// How long the newest generation of a key is remembered.
const NEWEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a single server is left alone after it failed.
const REST_OF_ONE: Duration = Duration::from_secs(5);

/// How long a cluster, or the servers behind sentinels, are left alone.
const REST_OF_MANY: Duration = Duration::from_secs(1);

/// A store in Redis or Valkey ([its contents](crate)).
///
/// It is cheap to clone. All clones share one connection, which the first operation makes, and which
/// reconnects on its own.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

struct Inner {
    server: Server,
    prefix: String,
    scripts: Scripts,
    accounts: Arc<Accounts>,
}

impl RedisStore {
    /// The store at `redis://[user:password@]host[:port][/database]`, or `rediss://…` for TLS.
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) for any other URL, and if TLS
    /// can't be set up.
    pub fn new(url: &SecretString) -> Result<Self, Error> {
        Address::new(url, None).map(Self::of)
    }

    /// The same, with certificates (PEM) of the authorities that may vouch for the server, instead of the
    /// platform's.
    ///
    /// # Errors
    /// Fails like [`new`](Self::new), for certificates that can't be read, and for a URL without TLS.
    pub fn with_ca(url: &SecretString, pem: impl Into<Vec<u8>>) -> Result<Self, Error> {
        Address::new(url, Some(pem.into())).map(Self::of)
    }

    /// The store in a cluster. The URLs are those of some of its nodes, which name the others; they
    /// differ in host and port only. `ca` holds certificates as for [`with_ca`](Self::with_ca).
    ///
    /// # Errors
    /// Fails like [`new`](Self::new), and for URLs that differ in anything else.
    #[cfg(feature = "cluster")]
    pub fn cluster(urls: &[SecretString], ca: Option<Vec<u8>>) -> Result<Self, Error> {
        Address::cluster(urls, ca).map(Self::of)
    }

    /// The store at the primary that sentinels name. The URLs are those of the sentinels; their user,
    /// password and database are the primary's. `ca` holds certificates as for
    /// [`with_ca`](Self::with_ca).
    ///
    /// # Errors
    /// Fails like [`cluster`](Self::cluster).
    #[cfg(feature = "sentinel")]
    pub fn sentinel(
        urls: &[SecretString],
        ca: Option<Vec<u8>>,
        sentinel: Sentinel,
    ) -> Result<Self, Error> {
        Address::sentinel(urls, ca, sentinel).map(Self::of)
    }

    fn of(address: Address) -> Self {
        Self::with(Server::at(address, LIMIT), DEFAULT_PREFIX.into())
    }

    fn with(server: Server, prefix: String) -> Self {
        let accounts = Arc::new(Accounts::of(&server, &prefix));
        Self(Arc::new(Inner {
            server,
            prefix,
            scripts: Scripts::new(),
            accounts,
        }))
    }

    /// Sets the prefix of every key. Default: `biped`. Fleets with the same prefix share their tokens.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) for a prefix that is empty or has
    /// braces, spaces or control characters.
    pub fn prefix(self, prefix: impl Into<String>) -> Result<Self, Error> {
        let prefix = prefix.into();
        let is_odd = |c: char| matches!(c, '{' | '}') || c.is_whitespace() || c.is_control();
        if prefix.is_empty() || prefix.contains(is_odd) {
            return Err(Error::configuration(
                "a prefix in Redis needs at least one character, and no braces or spaces",
            ));
        }
        Ok(Self::with(self.0.server.apart(LIMIT), prefix))
    }

    fn names(&self, key: &TokenKey) -> Names {
        Names::new(&self.0.prefix, key)
    }
}

#[async_trait]
impl TokenStore for RedisStore {
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        let get = &self.0.scripts.get;
        let found: Option<(u64, Vec<u8>, u64)> = self
            .0
            .server
            .run(get, &self.names(key).keys, |_| {})
            .await?;
        Ok(found.map(|(generation, bytes, left)| StoredToken {
            generation: Generation(generation),
            keep: Duration::from_millis(left),
            bytes,
        }))
    }

    async fn put(
        &self,
        key: &TokenKey,
        token: &StoredToken,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        let names = self.names(key);
        let put = &self.0.scripts.put;
        let stored: u8 = self
            .0
            .server
            .run(put, &names.keys, |script| {
                script
                    .arg(token.generation.0)
                    .arg(&token.bytes[..])
                    .arg(millis(token.keep))
                    .arg(lease.map(|lease| written(lease.id)).unwrap_or_default())
                    .arg(&names.channel)
                    .arg(millis(NEWEST));
            })
            .await?;
        Ok(stored == 1)
    }

    async fn forget(
        &self,
        key: &TokenKey,
        through: Generation,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let names = self.names(key);
        let forget = &self.0.scripts.forget;
        let _: u8 = self
            .0
            .server
            .run(forget, &names.keys, |script| {
                script
                    .arg(through.0)
                    .arg(millis(keep))
                    .arg(&names.channel)
                    .arg(millis(NEWEST));
            })
            .await?;
        Ok(())
    }

    async fn lease(
        &self,
        key: &TokenKey,
        ttl: Duration,
        renew: Option<&Lease>,
    ) -> Result<Claim, StoreError> {
        let id = renew.map_or_else(|| LeaseId(fastrand::u128(..)), |lease| lease.id);
        let lease = &self.0.scripts.lease;
        let (answer, number, why): (u8, u64, Vec<u8>) = self
            .0
            .server
            .run(lease, &self.names(key).keys, |script| {
                script
                    .arg(millis(ttl))
                    .arg(written(id))
                    .arg(u8::from(renew.is_some()))
                    .arg(millis(NEWEST));
            })
            .await?;
        let left = Duration::from_millis(number);
        Ok(match answer {
            1 => Claim::Granted(Lease {
                id,
                generation: Generation(number),
            }),
            3 => Claim::CoolingDown { left, why },
            _ => Claim::Taken { left },
        })
    }

    async fn release(
        &self,
        key: &TokenKey,
        lease: &Lease,
        failed: Option<LeaseFailure>,
    ) -> Result<(), StoreError> {
        let names = self.names(key);
        let release = &self.0.scripts.release;
        let cool_down = failed.as_ref().map(|failed| millis(failed.cool_down));
        let why = failed.as_ref().map_or(&[][..], |failed| &failed.why);
        let _: u8 = self
            .0
            .server
            .run(release, &names.keys, |script| {
                script
                    .arg(written(lease.id))
                    .arg(
                        cool_down
                            .map(|cool_down| cool_down.to_string())
                            .unwrap_or_default(),
                    )
                    .arg(why)
                    .arg(&names.channel);
            })
            .await?;
        Ok(())
    }

    fn rest(&self) -> Duration {
        match self.0.server.may_move() {
            true => REST_OF_MANY,
            false => REST_OF_ONE,
        }
    }

    fn durable(&self) -> Option<Arc<dyn DurableStore>> {
        Some(self.0.accounts.clone())
    }

    async fn changed(&self, key: &TokenKey, after: Generation) -> Result<(), StoreError> {
        let names = self.names(key);
        let listening = self.0.server.listen(&names.channel).await;
        if listening.is_err() {
            // The next operation has little time left, too little to connect.
            let store = self.0.clone();
            tokio::spawn(async move { drop(store.server.link().await) });
        }
        let listener = listening?;
        let mut arrival = std::pin::pin!(listener.arrivals().notified());
        arrival.as_mut().enable();
        // The subscription misses nothing from now on; check whether the change came before.
        let changed = &self.0.scripts.changed;
        let moved: u8 = self
            .0
            .server
            .run(changed, &names.keys, |script| {
                script.arg(after.0);
            })
            .await?;
        if moved == 0 {
            arrival.await;
        }
        Ok(())
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("url", &self.0.server.shown)
            .field("prefix", &self.0.prefix)
            .finish_non_exhaustive()
    }
}

fn written(id: LeaseId) -> String {
    format!("{:032x}", id.0)
}

/// Whole milliseconds, at least one: zero would mean for ever, or never.
fn millis(duration: Duration) -> u64 {
    const MOST: u128 = 10 * 365 * 24 * 60 * 60 * 1000;
    u64::try_from(duration.as_millis().clamp(1, MOST)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(url: &str) -> Result<RedisStore, Error> {
        RedisStore::new(&url.to_owned().into())
    }

    #[test]
    fn the_password_is_shown_nowhere() {
        for url in [
            "redis://me:hunter2@localhost:1/3",
            "rediss://:hunter2@localhost",
        ] {
            let store = store(url).unwrap();
            let fault = redis::RedisError::from((redis::ErrorKind::Io, "gone"));
            let shown = format!(
                "{store:?} {:?} {}",
                store.0.server.fault(&fault),
                store.0.server.fault(&fault)
            );
            assert!(shown.contains("localhost"), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_redis_is_refused_without_showing_it() {
        for url in [
            "",
            "hunter2",
            "http://me:hunter2@host/",
            "redis+unix:///hunter2",
            "redis://me:hunter2@host/database",
            "redis://me:hunter2@host/-1",
            "redis://me:hunter2@host/1/2",
            "rediss://me:hunter2@host/#insecure",
            "redis://host/?protocol=hunter2",
            "redis://:hunter2@",
        ] {
            let error = store(url).unwrap_err();
            assert_eq!(error.kind(), biped_core::ErrorKind::Configuration, "{url}");
            assert!(
                !format!("{error} {error:?}").contains("hunter2"),
                "{error:?}"
            );
        }
    }

    #[test]
    fn certificates_without_tls_are_a_mistake_that_is_told() {
        let pem = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
        let error = RedisStore::with_ca(&"redis://me:hunter2@host".to_owned().into(), pem);
        let error = error.unwrap_err();
        assert_eq!(error.kind(), biped_core::ErrorKind::Configuration);
        let shown = format!("{error} {error:?}");
        assert!(
            shown.contains("rediss://") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[test]
    fn a_prefix_leaves_the_hash_tag_alone() {
        let store = || store("redis://localhost").unwrap();
        for bad in ["", "a{b", "a}b", "a b", "a\n"] {
            assert!(store().prefix(bad).is_err(), "{bad:?}");
        }
        let store = store().prefix("one:two").unwrap();
        let names = store.names(&TokenKey::from_bytes([0xab; 32]));
        let tag = format!("{{{}}}", "ab".repeat(32));
        for name in names.keys.iter().chain([&names.channel]) {
            assert!(name.starts_with(&format!("one:two:{tag}:1")), "{name}");
        }
    }
}
