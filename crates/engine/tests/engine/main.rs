//! The rules of the engine, a file per theme, on a manual clock and scripted HTTP: nothing here
//! sleeps, and nothing measures time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod stage;

mod adopting;
mod calls;
#[cfg(feature = "metrics")]
mod counting;
mod ending;
mod endpoint;
mod failures;
mod fleet;
mod flights;
mod lifetimes;
mod many_keys;
mod planted;
mod redaction;
mod rejection;
mod rotation;
mod secrets;
mod spans;
mod standing_still;
mod store;
mod telling;
mod whose;
