//! Tokens shared by a fleet through PostgreSQL. The process with the lease fetches a token; the others
//! read it from the store.
//!
//! ```no_run
//! use std::sync::Arc;
//! use biped_core::{HttpClient, SecretRef};
//! use biped_engine::TokenManager;
//! use biped_postgres::PostgresStore;
//!
//! # fn example(http: Arc<dyn HttpClient>) -> Result<(), biped_core::Error> {
//! let url = SecretRef::env("DATABASE_URL").read_now()?;
//! let store = PostgresStore::new(&url)?.table("exporter.tokens")?;
//! let manager = TokenManager::builder(http).store(Arc::new(store)).build();
//! # let _ = manager;
//! # Ok(()) }
//! ```
//!
//! # The server
//!
//! `postgres://[user[:password]@]host[:port][,host…]/database[?option=value&…]`, with the options of
//! libpq: `sslmode`, `target_session_attrs=read-write` to find the primary among several hosts,
//! `application_name`, `options`, and `channel_binding=require` to prove the password to the server of the
//! certificate alone. It is not used unless it is required.
//!
//! | `sslmode` | |
//! | --- | --- |
//! | `disable` | no TLS |
//! | `allow`, `prefer` (default) | TLS if the server has it |
//! | `require`, `verify-ca`, `verify-full` | TLS always |
//!
//! With TLS, the certificate is always checked: its authority, and the name of the host. That is
//! stricter than libpq, whose `require` and `prefer` accept any certificate. For a server with an
//! authority of its own, use [`with_ca`](PostgresStore::with_ca). Outside the machine itself or a
//! private network, use `sslmode=verify-full` and `biped-sealed`.
//!
//! The store needs PostgreSQL from version 10 (tried: 15). The driver is tokio-postgres: it pipelines the
//! operations of a process on one connection, runs a statement with its parameters in one message without
//! preparing it, as a pooler needs it, and hands on notifications on the same connection. sqlx would bring
//! a pool, a second connection for notifications, and prepared statements.
//!
//! # The table
//!
//! It is made if it is missing, unless `create` is `false`. `biped_tokens` is the default name.
//!
//! ```sql
#![doc = include_str!("schema.sql")]
//! ```
//!
//! A user needs `SELECT`, `INSERT`, `UPDATE` and `DELETE` on it, and `CREATE` on the schema if the table
//! is to be made. The comment has the version of the layout: a table of another version is refused, and
//! left alone.
//!
//! A row belongs to a key. Generations are microseconds of the server's clock (`clock_timestamp()`), which
//! also ends leases, and never decrease while the row exists. A row is kept for a day beyond its last
//! use. Once a minute, a process that stores a token removes expired rows, 100 with each statement.
//! Changes are announced by `NOTIFY` on the channel with the name of the table; the payload is the key,
//! which is a hash.
//!
//! A server has no key with which the names of tokens could tell secrets apart
//! ([`TokenStore::identity_key`](biped_core::TokenStore::identity_key)); `biped-sealed` has one. Without
//! it, tokens of inline secrets, tokens of providers without a client identifier, and refusals of
//! credentials stay in their process, and a warning says so once.
//!
//! # Credentials that change with each use
//!
//! [`TokenStore::durable`](biped_core::TokenStore::durable) keeps them in a table of their own, whose name is
//! that of the table and `_accounts`. It is made when it is needed first, unless `create` is `false`:
//!
//! ```sql
#![doc = include_str!("accounts.sql")]
//! ```
//!
//! They have a connection of their own. Each operation is a transaction with `synchronous_commit` on, and
//! has 4 s, so that a commit may wait for the disk and for synchronous replicas. With `fsync = off`, or
//! after a fail-over to a replica that is behind, a credential may be lost, which may be the account. A
//! lock is a lease of 15 s in the row, by the server's clock.
//!
//! # Behind a pooler
//!
//! With [`pooler`](PostgresStore::pooler), nothing rests on a session: waiting callers look every 100 ms
//! instead of listening, and each statement is in a transaction of its own, which sets
//! `statement_timeout`.
//!
//! # When the server is gone
//!
//! Every operation ends within 250 ms, with an error if there is no response; the server gives up its
//! statement then as well (`statement_timeout`). No call fails because of it. A process has one
//! connection. The first operation makes it, and the next operation after an error makes another. Warnings
//! say what is wrong by the server's code, and show neither user nor password.
//!
//! After an error, a process goes on without the store: for 5 s, or for 1 s if the URL has several hosts.
//! Several hosts are asked beside each other: each next one when the one before it has failed, or has not
//! answered for 100 ms. Those that refuse are asked again every 500 ms while another has not answered, and
//! all of it ends after 2 s. So a process uses a promoted replica at the latest 1.75 s after the
//! promotion, if it takes no longer than 250 ms to connect.
//!
//! A write waits neither for the disk nor for a replica (`synchronous_commit` is off for these statements).
//! After a crash or a fail-over, what was written in the last moments may be lost: at most one further token
//! request a key, and a rejected token may come back once, to be rejected again.

mod accounts;
mod address;
mod binding;
mod fault;
mod kind;
mod link;
mod race;
mod session;
mod store;
mod table;
mod tls;
mod waiters;

pub use self::{
    kind::kind,
    session::LIMIT,
    store::{DEFAULT_TABLE, PostgresStore},
};
