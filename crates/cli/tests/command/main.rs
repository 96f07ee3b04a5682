//! The `biped` command as scripts see it: stdout, stderr and the exit status of the real binary,
//! against a sandbox in this process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod book;
mod calls;
mod configuration;
mod elsewhere;
mod exec;
mod failures;
mod forgery;
mod identity;
mod keyless;
mod lifetimes;
mod new;
mod pages;
mod platforms;
mod refused;
mod reports;
mod rotation;
mod sandbox;
mod secrets;
#[cfg(unix)]
mod seed;
mod serve;
#[cfg(unix)]
mod stalled;
mod stores;
mod tenants;
mod tokens;
#[cfg(unix)]
mod trust;
mod vendors;
mod whose;
mod world;
