//! [`Pool`]: one reqwest client, with connections of its own, for each way to connect.

use std::fmt;

use biped_core::Error;
use reqwest::Client;

use crate::recent::Recent;

/// So many clients are kept; the one that was not used for longest goes first. A client without
/// users costs little, but certificates are renewed for ever.
pub(crate) const CLIENTS_KEPT: usize = 32;

/// Clients by what tells them apart, made when first asked for.
pub(crate) struct Pool<K> {
    make: Make<K>,
    kept: Recent<K, Client>,
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
        if let Some(client) = self.find(key) {
            return Ok(client);
        }
        // Outside the lock, since it reads the platform's certificates. Who comes second throws
        // their own away.
        let made = (self.make)(key)?;
        if let Some(client) = self.find(key) {
            return Ok(client);
        }
        self.kept.keep(key.clone(), made.clone());
        Ok(made)
    }

    fn find(&self, key: &K) -> Option<Client> {
        self.kept.find(|known| known == key)
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
