//! Credentials that change with each use: the refresh token of RFC 6749 §6.
//!
//! One refresh: take the account's lock, load the entry, write that the vendor is being asked, send the
//! credential R, write the new one R', and only then hand out the access token. What follows from an
//! entry or an answer is decided in `protocol.rs`, which is pure; `refresh.rs` carries it out in a task
//! of its own, so that no caller that goes away takes R' with it. While the store is down the task holds
//! R' and the lock, and goes on writing.

pub(crate) mod account;
mod entry;
mod protocol;
mod refresh;
mod turn;

pub(crate) use self::{refresh::HELD, turn::Rotations};
