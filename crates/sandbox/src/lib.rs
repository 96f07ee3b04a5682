//! The vendors' servers on loopback, with faults on request. They serve tests, examples and the `biped`
//! command.
//!
//! It has two vendors, which behave as their documentation says:
//!
//! - **Contentsquare**: account-level and project-level credentials, two clouds on two ports, JWTs that
//!   expire, and APIs that check them;
//! - **the envelope vendor**: form requests, responses in `data` and `error`, opaque tokens.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use biped_sandbox::{Effect, Fault, KeyFilter, Sandbox};
//!
//! let sandbox = Sandbox::builder().lifetime(Duration::from_secs(3)).start().await?;
//! let config = sandbox.config_toml(); // a biped.toml with five providers
//!
//! sandbox.fail_next(Fault::new(Effect::Status(503)).path("/v1/exports").times(2));
//! sandbox.revoke_tokens(&KeyFilter::all().project_id(43));
//! // … the application runs …
//! println!("{} token requests", sandbox.stats().counts.token_requests.total);
//! # Ok(()) }
//! ```
//!
//! The sandbox listens on 127.0.0.1 only, reads the time from a [`Clock`](biped_core::Clock), and stops
//! when it is dropped. With a manual clock ten expiries take milliseconds.
//!
//! # Ports and paths
//!
//! The first port has the token endpoints, the envelope vendor's API and the control endpoints. Each
//! cloud of Contentsquare has its own port. With a fixed port N the clouds are at N+1 and N+2.
//!
//! | port | path | expects |
//! | --- | --- | --- |
//! | first | `POST /v1/oauth/token` | Contentsquare's token request, JSON |
//! | first | `POST /v1/oauth/me` | Contentsquare's credentials, JSON |
//! | first | `POST /v1/auth/token` | the envelope vendor's token request, form |
//! | first | `GET /v1/orders` | the envelope vendor's token |
//! | cloud | `GET /v1/exports` | scope `data-export` |
//! | cloud | `GET /v1/speed-analysis/monitoring list` (`%20`) | scope `speed-analysis` |
//! | cloud | `POST /v1/enrichment/integrations/{id}/data` | scope `enrichment`, that integration; a body of any size |
//! | cloud | `GET /v1/download?bytes=N` | scope `data-export`; N bytes (up to 2⁵⁰), where byte *i* is *i* mod 251 |
//!
//! # Clients
//!
//! | client | projects | scopes |
//! | --- | --- | --- |
//! | [`ACCOUNT`] | 42 (first cloud, integration 123) and 43 (second cloud, integration 456); each request names one | all |
//! | [`PROJECT`] | 42 | `data-export`, `metrics`, `enrichment` |
//! | [`SHOP`] | – | – (the envelope vendor) |
//!
//! [`SandboxBuilder::projects`] adds projects to the account.
//!
//! # Errors
//!
//! Errors have the form of the documentation. Codes without the mark "documented" are the sandbox's own.
//!
//! | vendor | status | code | when |
//! | --- | --- | --- | --- |
//! | Contentsquare | 401 | `JWT_EXPIRED` (documented) | the token has expired |
//! | | 401 | `JWT_REVOKED`, `JWT_INVALID`, `UNAUTHORIZED` | the token was revoked, is unknown, is missing |
//! | | 401 | `INVALID_CREDENTIALS` | unknown client or wrong secret |
//! | | 403 | `INSUFFICIENT_SCOPE`, `PROJECT_NOT_ON_THIS_CLOUD`, `INTEGRATION_NOT_PERMITTED` | the token is for another scope, cloud or integration |
//! | | 400 | `INVALID_JSON`, `INVALID_PARAMETER`, `UNSUPPORTED_GRANT_TYPE` | the request is malformed |
//! | | 400 | `INVALID_SCOPE` | the scope is missing or not granted, or `enrichment` is combined with another |
//! | | 400 | `PROJECT_REQUIRED`, `INTEGRATION_REQUIRED`, `UNKNOWN_INTEGRATION` | the target is missing or unknown |
//! | | 403 | `PROJECT_NOT_PERMITTED` | the credentials are for another project |
//! | | 404, 405, 413, 415 | `NOT_FOUND`, `METHOD_NOT_ALLOWED`, … | |
//! | envelope | 400 | `400013` (documented) | a parameter is missing, or the body is not a form |
//! | | 401 | `401021` (documented) | unknown client or wrong secret; on the API, any invalid token |
//! | | 404 | none: `error` is a text (documented) | unknown path |
//! | | 500 | `500999` (documented) | on request only |
//!
//! The scheme of the `Authorization` header must be `Bearer`, in this case, as in the documentation.
//!
//! # Platforms
//!
//! [`Platforms`] is a sandbox of its own, for clients without a secret: what GitHub, Kubernetes, Google,
//! Azure and SPIFFE say about a workload, an issuer that trusts them, and an API.
//!
//! # Control
//!
//! | request | does | library |
//! | --- | --- | --- |
//! | `GET /_sandbox/stats` | returns the [`Stats`] as JSON | [`Sandbox::stats`] |
//! | `DELETE /_sandbox/stats` | sets the counters to zero | [`Sandbox::reset_stats`] |
//! | `POST /_sandbox/faults` | queues the [`Fault`] in the body | [`Sandbox::fail_next`] |
//! | `GET /_sandbox/faults` | returns the queued faults | [`Sandbox::faults`] |
//! | `DELETE /_sandbox/faults` | removes them | [`Sandbox::clear_faults`] |
//! | `POST /_sandbox/revoke` | revokes the live tokens that the [`KeyFilter`] in the body selects (`{}`: all), and returns `{"revoked": N}` | [`Sandbox::revoke_tokens`] |
//! | `POST /_sandbox/secret` | changes a client's secret: `{"client_id": "…", "client_secret": "…"}` | [`Sandbox::change_secret`] |
//! | `GET /_sandbox/config` | returns a `biped.toml` | [`Sandbox::config_toml`] |
//!
//! The response to an invalid control request is 400, 404 or 405, and `{"error": "…"}`. Control requests
//! are not counted.

mod body;
mod clients;
mod cloud;
mod config;
mod contentsquare;
mod control;
mod envelope;
mod fault;
mod gate;
mod listen;
mod media_type;
mod platforms;
mod rotating;
mod sandbox;
mod shared;
mod stats;
mod stop;
mod token;

pub use self::{
    clients::{ACCOUNT, Credentials, PROJECT, SHOP},
    fault::{Effect, Fault, RetryAfter, Vendor},
    platforms::{Environment, Platforms, PlatformsBuilder, Seen},
    rotating::RotatingAccount,
    sandbox::{DEFAULT_LIFETIME, MAX_PROJECTS, Sandbox, SandboxBuilder},
    stats::{ApiCalls, ClientStats, Counts, KeyFilter, KeyStats, Stats, TokenRequests},
};
