//! [`RedisStore`]: tokens that a fleet shares.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use biped_core::{
    Claim, Clock, Error, Generation, Lease, LeaseFailure, LeaseId, SecretString, StoreError,
    StoredToken, SystemClock, TokenKey, TokenStore,
};
use redis::{Client, FromRedisValue, RedisError, Script, ScriptInvocation};

use crate::{
    address::Address,
    fault,
    link::{LIMIT, Link, Names},
    scripts::Scripts,
};

/// The default start of all names.
pub const DEFAULT_PREFIX: &str = "biped";

/// How long the newest generation of a key is remembered.
const NEWEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A store in Redis or Valkey ([its contents](crate)).
///
/// It is cheap to clone. All clones share one connection, which the first operation makes, and which
/// reconnects on its own.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

struct Inner {
    client: Client,
    /// The URL without user and password.
    shown: String,
    prefix: String,
    scripts: Scripts,
    clock: Arc<dyn Clock>,
    link: Mutex<Option<Arc<Link>>>,
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

    fn of(address: Address) -> Self {
        let Address { client, shown } = address;
        Self(Arc::new(Inner {
            client,
            shown,
            prefix: DEFAULT_PREFIX.into(),
            scripts: Scripts::new(),
            clock: Arc::new(SystemClock),
            link: Mutex::default(),
        }))
    }

    /// Sets the start of all names. Default: `biped`. Fleets with the same prefix share their tokens.
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
        let Inner { client, shown, .. } = &*self.0;
        Ok(Self(Arc::new(Inner {
            client: client.clone(),
            shown: shown.clone(),
            prefix,
            scripts: Scripts::new(),
            clock: self.0.clock.clone(),
            link: Mutex::default(),
        })))
    }

    fn names(&self, key: &TokenKey) -> Names {
        Names::new(&self.0.prefix, key)
    }

    fn link(&self) -> Result<Arc<Link>, StoreError> {
        let mut link = self.0.link.lock().unwrap_or_else(PoisonError::into_inner);
        match &*link {
            Some(link) if link.is_driven() => Ok(link.clone()),
            _ => {
                let new = Link::new(self.0.client.clone()).map_err(|error| self.fault(&error))?;
                Ok(link.insert(Arc::new(new)).clone())
            }
        }
    }

    /// Runs a script. It is tried again if the connection is broken, since all scripts may run twice.
    async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        names: &Names,
        arguments: impl FnOnce(&mut ScriptInvocation<'_>),
    ) -> Result<T, StoreError> {
        let mut invocation = script.prepare_invoke();
        for key in &names.keys {
            invocation.key(key);
        }
        arguments(&mut invocation);
        let link = self.link()?;
        self.bounded(async {
            let mut connection = link.connection();
            let answer = match invocation.invoke_async(&mut connection).await {
                Err(error) if error.is_unrecoverable_error() || error.is_io_error() => {
                    invocation.invoke_async(&mut connection).await
                }
                answer => answer,
            };
            if let Err(error) = &answer
                && !error.is_io_error()
            {
                self.part_with(&link);
            }
            answer
        })
        .await
    }

    /// Drops the connection, so that the next operation makes another. A connection reconnects on its own
    /// after it was cut, but not after the server refused it, for example for a wrong password.
    fn part_with(&self, link: &Arc<Link>) {
        let mut current = self.0.link.lock().unwrap_or_else(PoisonError::into_inner);
        current.take_if(|current| Arc::ptr_eq(current, link));
    }

    async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, StoreError> {
        tokio::select! {
            biased;
            done = work => done.map_err(|error| self.fault(&error)),
            () = self.0.clock.sleep(LIMIT) => {
                let Inner { shown, .. } = &*self.0;
                let limit = LIMIT.as_millis();
                Err(StoreError::new(format!("the Redis at {shown} did not answer in {limit} ms")))
            }
        }
    }

    /// The error of a command, without what was sent: a server may repeat that.
    fn fault(&self, error: &RedisError) -> StoreError {
        let Inner { shown, .. } = &*self.0;
        StoreError::new(format!("the Redis at {shown} {}", fault::why(error)))
    }
}

#[async_trait]
impl TokenStore for RedisStore {
    async fn get(&self, key: &TokenKey) -> Result<Option<StoredToken>, StoreError> {
        let get = &self.0.scripts.get;
        let found: Option<(u64, Vec<u8>, u64)> = self.run(get, &self.names(key), |_| {}).await?;
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
            .run(put, &names, |script| {
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
            .run(forget, &names, |script| {
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
            .run(lease, &self.names(key), |script| {
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
            .run(release, &names, |script| {
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

    async fn changed(&self, key: &TokenKey, after: Generation) -> Result<(), StoreError> {
        let names = self.names(key);
        let link = self.link()?;
        let listener = self
            .bounded(link.listen(&names.channel, &self.0.clock))
            .await?;
        let mut arrival = std::pin::pin!(listener.arrivals().notified());
        arrival.as_mut().enable();
        // The subscription misses nothing from now on; check whether the change came before.
        let changed = &self.0.scripts.changed;
        let moved: u8 = self
            .run(changed, &names, |script| {
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
            .field("url", &self.0.shown)
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
            let fault = RedisError::from((redis::ErrorKind::Io, "gone"));
            let shown = format!(
                "{store:?} {:?} {}",
                store.fault(&fault),
                store.fault(&fault)
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
