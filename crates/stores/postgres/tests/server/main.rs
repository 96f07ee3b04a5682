//! A real PostgreSQL, which each test starts on loopback: `tests/live/run postgres`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(target_os = "linux")]

mod dropped;
mod faults;
mod killed;
mod pgbouncer;
mod postgres;
mod promises;
mod tls;
mod transactions;
