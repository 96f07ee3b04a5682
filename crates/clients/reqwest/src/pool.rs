//! [`Pool`]: one reqwest client, with its own connections, for each way to connect and each runtime.

use std::fmt;

use biped_core::Error;
use reqwest::Client;
use tokio::runtime::{self, Handle};

use crate::recent::Recent;

/// How many clients are kept; the least recently used is dropped first. An unused client costs little,
/// but each renewed certificate adds one.
const CLIENTS_KEPT: usize = 32;

/// Clients by their key, built on first use.
///
/// A connection is driven by the runtime on which it was opened. A request from another runtime would
/// wait forever on a connection whose runtime is not running.
pub(crate) struct Pool<K> {
    make: Make<K>,
    kept: Recent<(Option<runtime::Id>, K), Client>,
}

type Make<K> = Box<dyn Fn(&K) -> Result<Client, Error> + Send + Sync>;

impl<K: PartialEq + Clone> Pool<K> {
    pub(crate) fn new(make: impl Fn(&K) -> Result<Client, Error> + Send + Sync + 'static) -> Self {
        Self {
            make: Box::new(make),
            kept: Recent::new(CLIENTS_KEPT),
        }
    }

    pub(crate) fn client(&self, key: &K) -> Result<Client, Error> {
        let runtime = Handle::try_current().ok().map(|current| current.id());
        if let Some(client) = self.find(runtime, key) {
            return Ok(client);
        }
        // Outside the lock, because it reads the platform's certificates. If two callers build a
        // client at once, the second one is dropped.
        let made = (self.make)(key)?;
        if let Some(client) = self.find(runtime, key) {
            return Ok(client);
        }
        self.kept.keep((runtime, key.clone()), made.clone());
        Ok(made)
    }

    fn find(&self, runtime: Option<runtime::Id>, key: &K) -> Option<Client> {
        let of = |wanted| move |known: &mut (_, K)| known.0 == wanted && known.1 == *key;
        let own = self.kept.find(of(runtime));
        own.or_else(|| {
            // A client from outside of any runtime has no connection yet; the first runtime takes it.
            self.kept.find(|known| {
                let is_free = of(None)(known);
                if is_free {
                    known.0 = runtime;
                }
                is_free
            })
        })
    }
}

impl<K> fmt::Debug for Pool<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[test]
    fn keeps_the_latest_used_and_no_more_than_its_bound() {
        let made = Arc::new(AtomicUsize::new(0));
        let pool = Pool::new({
            let made = made.clone();
            move |_: &usize| {
                made.fetch_add(1, Ordering::Relaxed);
                Ok(Client::new())
            }
        });
        for key in 0..CLIENTS_KEPT {
            pool.client(&key).unwrap();
        }
        pool.client(&0).unwrap();
        assert_eq!(made.load(Ordering::Relaxed), CLIENTS_KEPT, "0 is kept");

        pool.client(&CLIENTS_KEPT).unwrap();
        pool.client(&0).unwrap();
        assert_eq!(
            made.load(Ordering::Relaxed),
            CLIENTS_KEPT + 1,
            "0 was used lately"
        );

        pool.client(&1).unwrap();
        assert_eq!(made.load(Ordering::Relaxed), CLIENTS_KEPT + 2, "1 had gone");
    }
}
