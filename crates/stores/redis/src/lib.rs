//! Tokens shared by a fleet through Redis or Valkey. The process with the lease fetches a token; the
//! others read it from the store.
//!
//! ```no_run
//! use std::sync::Arc;
//! use biped_core::{HttpClient, SecretRef};
//! use biped_engine::TokenManager;
//! use biped_redis::RedisStore;
//!
//! # fn example(http: Arc<dyn HttpClient>) -> Result<(), biped_core::Error> {
//! let url = SecretRef::env("REDIS_URL").read_now()?;
//! let store = RedisStore::new(&url)?.prefix("exporter")?;
//! let manager = TokenManager::builder(http).store(Arc::new(store)).build();
//! # let _ = manager;
//! # Ok(()) }
//! ```
//!
//! # The server
//!
//! Redis from version 6, or Valkey (tried: Redis 6.2 and 7.0, Valkey 9.1): one server, a primary with
//! replicas behind one address, a cluster, or a primary that sentinels name. Reads go to the primary
//! alone.
//!
//! | the servers | `url` in `[store]` | in code |
//! | --- | --- | --- |
//! | one | a URL | [`RedisStore::new`] |
//! | a cluster (feature `cluster`) | a list of nodes, even of a single one | `RedisStore::cluster` |
//! | behind sentinels (feature `sentinel`) | the sentinels, and `sentinel = "NAME"` | `RedisStore::sentinel` |
//!
//! The URLs of a list differ in host and port only. Both features are on by default.
//!
//! `redis://[user:password@]host[:port][/database]`, or `rediss://…` with TLS. Without TLS, tokens
//! cross the network in plain text. Outside the machine itself or a private network, use `rediss` and
//! `biped-sealed`.
//!
//! A user of an ACL needs these rights:
//!
//! ```text
//! ACL SETUSER biped on >PASSWORD ~biped:* resetchannels &biped:* +hello +select
//!     +evalsha +eval +script|load +hget +hmget +hset +get +set +del +exists +pttl +pexpire +time
//!     +publish +subscribe +unsubscribe +ping +role +asking +cluster|slots
//! ```
//!
//! (`biped` is the default prefix. A single server needs nothing after `+unsubscribe`.) A user of
//! sentinels needs `+hello +role +sentinel|masters`.
//!
//! An eviction policy may remove anything at any time: a token that is gone is fetched again. With
//! `noeviction` and a full memory, the store does not work until there is room.
//!
//! # What is stored
//!
//! `KEY` is 64 hexadecimal digits. All but an `account` expires by itself.
//!
//! | name | type | what it is |
//! | --- | --- | --- |
//! | `biped:{KEY}:1:token` | hash | `g`, the generation, and `b`, the token in core's format (sealed, with `biped-sealed`) |
//! | `biped:{KEY}:1:forgotten` | string | the generation through which tokens were rejected |
//! | `biped:{KEY}:1:lease` | hash | `id` of the holder and `g`, the generation of the token to come |
//! | `biped:{KEY}:1:failure` | string | why the last holder failed, while requests to the vendor are paused |
//! | `biped:{KEY}:1:newest` | string | the newest generation that was stored, forgotten or given out |
//! | `biped:{KEY}:1` | channel | the generation of a change, for callers that wait |
//! | `biped:{KEY}:1:account` | hash | `r`, the revision, `b`, a credential that changes with each use, and `id` of the write; never expires |
//! | `biped:{KEY}:1:lock` | string | `id` of the process that uses the credential; expires after 15 s |
//!
//! The `1` is the version of this layout: versions of Biped with different layouts leave each other's
//! entries alone. Generations are microseconds on the server's clock, and never decrease while entries
//! exist. A server that restarts empty continues at the time of its clock.
//!
//! A server has no key with which the names of tokens could tell secrets apart
//! ([`TokenStore::identity_key`](biped_core::TokenStore::identity_key)); `biped-sealed` has
//! one. With it, the names of tokens hold a digest of the secrets that they were fetched with, so that
//! no process finds a token of another secret. Without it, names hold only the places of secrets (the
//! variable, the path). Tokens of inline secrets, tokens of providers without a client identifier, and
//! refusals of credentials then stay in their process, and a warning says so once.
//!
//! # Credentials that change with each use
//!
//! [`TokenStore::durable`](biped_core::TokenStore::durable) keeps them, only on a single primary that loses no
//! write: with `appendonly yes`, `appendfsync always`, `no-appendfsync-on-rewrite no` and
//! `maxmemory-policy noeviction`. A cluster, servers behind sentinels, a replica, and any other setting are
//! refused at the first use, with an error that says why. The server is asked before each refresh. A
//! replica may copy the primary, but don't promote one: its last writes may be missing.
//!
//! A user of an ACL also needs `+role +config|get`. An operation may take 4 s, since the server waits for its
//! disk.
//!
//! # When the server is gone
//!
//! Every operation ends within 250 ms, with an error if there is no response; no call fails because of
//! it. A process has one connection, which carries the subscriptions as well. The first operation makes
//! it, and it reconnects on its own, also when the server accepts a user that it refused before. One that
//! goes silent, since a firewall forgot it or the server lost power, is replaced by the next operation. Warnings
//! say what is wrong (`NOAUTH`, a full memory, a certificate), and show neither user nor password.
//!
//! # When another server takes over
//!
//! No call fails while a replica becomes the primary, in a cluster or behind sentinels. What fails is
//! tried again after 1 s, at the servers as they are known by then. While a slot of a cluster moves, the
//! store does not work for the keys of this slot, since a script needs all names of a key at one server.
//!
//! Replication is asynchronous. What was written in the last moments before a fail-over may be lost: at
//! most one further token request for each key, and a rejected token may come back once, to be rejected
//! again and replayed once.
//!
//! Each waiting process listens for changes by plain publish and subscribe, and polls as well. A user
//! without rights to channels waits by polling alone.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod accounts;
mod address;
#[cfg(feature = "cluster")]
mod cluster;
mod connection;
mod fault;
mod kind;
mod link;
mod scripts;
#[cfg(feature = "sentinel")]
mod sentinel;
mod server;
mod store;

#[cfg(feature = "sentinel")]
pub use self::sentinel::Sentinel;
pub use self::{
    kind::kind,
    link::LIMIT,
    store::{DEFAULT_PREFIX, RedisStore},
};
