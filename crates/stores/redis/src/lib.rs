//! Tokens shared by a fleet through Redis or Valkey: whoever holds the lease fetches, all others get
//! the token from here.
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
//! Redis from version 6, or Valkey (tried: Redis 6.2 and 7.0, Valkey 9.1); one server, or a primary
//! with replicas behind one address. A cluster or Sentinel is not supported yet: the keys of a token
//! share a hash tag, so that they will live on one node, but the client doesn't follow redirections.
//!
//! `redis://[user:password@]host[:port][/database]`, or `rediss://…` with TLS. Without TLS, tokens
//! cross the network as they are: on anything but the machine itself or a network of your own use
//! `rediss`, and `biped-sealed` beside it.
//!
//! A user of an ACL needs no more than
//!
//! ```text
//! ACL SETUSER biped on >PASSWORD ~biped:* resetchannels &biped:* +hello +select
//!     +evalsha +eval +script|load +hget +hmget +hset +get +set +del +exists +pttl +pexpire +time
//!     +publish +subscribe +unsubscribe
//! ```
//!
//! (`biped` is the default prefix.) An eviction policy may take anything at any time: what is gone is
//! fetched again. `noeviction` with a full memory turns the store off until there is room.
//!
//! # What is stored
//!
//! `KEY` is 64 hexadecimal digits; everything expires by itself.
//!
//! | name | type | what it is |
//! | --- | --- | --- |
//! | `biped:{KEY}:1:token` | hash | `g`, the generation, and `b`, the token in core's format (sealed, with `biped-sealed`) |
//! | `biped:{KEY}:1:forgotten` | string | the generation through which tokens were rejected |
//! | `biped:{KEY}:1:lease` | hash | `id` of the holder and `g`, the generation of the token to come |
//! | `biped:{KEY}:1:failure` | string | why the last holder failed, while the vendor is left alone |
//! | `biped:{KEY}:1:newest` | string | the newest generation that was stored, forgotten or given out |
//! | `biped:{KEY}:1` | channel | the generation of a change, for those who wait |
//!
//! The `1` is the version of this layout: versions of Biped with different layouts don't see each
//! other's entries. Generations are microseconds on the server's clock, and never go back while
//! entries live; a server that restarts empty goes on where its clock is.
//!
//! A server has no key of its own to tell secrets apart by
//! ([`TokenStore::identity_key`](biped_core::TokenStore::identity_key)); `biped-sealed` brings one.
//! With it the names of tokens hold a digest of the secrets that they were fetched with, and nobody
//! finds another's. Without it only the places of secrets count (the same variable, the same path):
//! tokens of secrets that stand in the configuration itself, and of providers without a client
//! identifier, stay in their process, and so do refusals of credentials. One warning says so.
//!
//! # When the server is gone
//!
//! Every operation ends within 250 ms, with an error where there is no answer; no call fails of it.
//! The connection is made when it is first needed and comes back by itself, also after a server that
//! refused the user lets it in. It is one for the whole process, and carries the subscriptions as
//! well. Warnings say what is wrong (`NOAUTH`, a full memory, a certificate), and show neither user
//! nor password.

mod address;
mod fault;
mod kind;
mod link;
mod scripts;
mod store;

pub use self::{
    kind::kind,
    link::LIMIT,
    store::{DEFAULT_PREFIX, RedisStore},
};
