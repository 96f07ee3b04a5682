//! Biped's sidecar: programs in any language call vendors' APIs through it, and it puts the tokens on.
//!
//! A call of `http://127.0.0.1:7417/NAME/path` goes to the API of the provider NAME, with a fresh token.
//! A token that the API rejects is replaced, and the call is sent once more. No token is ever sent
//! past its expiry, none is shown to the caller, and an answer that the sidecar makes itself says whether
//! the API may have acted on the call ([`problem`]).
//!
//! # The map
//!
//! | file | what it is |
//! | --- | --- |
//! | `server.rs` | [`Server`], [`Running`]: start and stop |
//! | `config.rs`, `config/` | [`Serve`]: `[serve]` |
//! | `listen.rs`, `listen/`, `tls.rs`, `peer.rs` | addresses and sockets, and TLS on them |
//! | `connection.rs`, `connection/`, `activity.rs` | one caller's connection, its requests and timeouts |
//! | `guard.rs`, `target.rs`, `allow.rs`, `callers.rs`, `callers/`, `params.rs` | what is refused, and what a request names |
//! | `proxy.rs`, `proxy/`, `headers.rs`, `links.rs` | a call of an API |
//! | `transport.rs`, `transport/`, `upstream.rs`, `upstream/`, `body.rs`, `body/` | how it is sent |
//! | `routes.rs`, `route_context.rs`, `reply.rs`, `health.rs`, `status.rs`, `events.rs`, `page.rs`, `tokens.rs`, `oauth.rs`, `files.rs`, `variable.rs` | the sidecar's own routes; tokens in files |
//! | `problem.rs`, `problem/` | what the sidecar answers itself |
//! | `live.rs`, `live/`, `reload.rs`, `shared.rs`, `limiter.rs`, `observe.rs`, `meter.rs`, `scrape.rs` | what requests are served by, and how that changes; what all share; the access log, and what is counted |

mod activity;
mod allow;
mod body;
mod callers;
mod config;
mod connection;
mod events;
mod files;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod headers;
mod health;
mod limiter;
mod links;
mod listen;
mod live;
mod meter;
mod oauth;
mod observe;
mod page;
mod params;
mod peer;
mod presence;
pub mod problem;
mod proxy;
mod reload;
mod reply;
mod route_context;
mod routes;
mod scrape;
mod server;
mod shared;
mod status;
mod target;
mod tls;
mod tokens;
mod transport;
mod upstream;
mod variable;

pub use self::{
    config::{DEFAULT_LISTEN, Serve, section},
    server::{Running, Server},
    variable::variable_prefix,
};
