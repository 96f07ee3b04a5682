//! What goes out to standard authorization servers, byte for byte, and what becomes of their
//! answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adversaries;
mod answers;
mod any_answer;
mod api_calls;
mod api_url;
mod authentication;
mod certificate;
mod configuration;
mod discovery;
mod dpop;
mod grants;
mod issuer;
mod keys;
mod presented;
mod request;
mod server;
mod signers;
mod spent;
mod tokens;
