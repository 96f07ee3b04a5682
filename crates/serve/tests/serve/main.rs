//! The sidecar as its callers see it: over real sockets, with an API and a token endpoint that record
//! every byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod callers;
mod clock;
mod cut_off;
mod details;
mod faults;
mod files;
mod frames;
mod gone;
mod grpc;
mod health;
mod http2;
mod https;
mod load;
mod network;
mod oauth;
mod observe;
mod page;
mod proxy;
mod raw;
mod reload;
mod replay;
mod secrets;
mod smuggling;
mod stage;
mod stop;
mod tenants;
mod tls;
mod tokens;
mod vendor;
