//! Every feature of the schema over a socket: what goes out, byte for byte, and what becomes of the
//! answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod agreement;
mod api_calls;
mod assertions;
mod idle;
mod limits;
mod requests;
mod responses;
mod revocation;
mod server;
mod signed;
mod steps;
