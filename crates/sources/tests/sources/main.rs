//! What each source asks of its platform, byte for byte, and what becomes of the answers: over real
//! sockets, with the variables of a process of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod azure;
mod configuration;
mod failures;
mod outcome;
mod platforms;
mod reading;
mod signing;
