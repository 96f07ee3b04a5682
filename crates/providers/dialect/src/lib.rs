//! Vendors described as data: the provider of kind `dialect`, whose vendors take a few lines of TOML.
//!
//! A dialect says how one vendor exchanges credentials for a token. Its defaults are those of
//! RFC 6749, so a file contains only the differences:
//!
//! ```toml
//! url = "https://{region}.vendor.example/v2/session"
//! encoding = "json"
//! auth = "none"
//! grant_type = false
//! fields = { apiKey = "{api_key}" }
//! response = { token = "/data/token", expires = { at = "/data/expiresAt", as = "rfc3339" } }
//! ```
//!
//! | to use | read |
//! | --- | --- |
//! | a vendor of the catalogue | [`Catalogue`], `vendor = "…"` |
//! | a vendor file of your own | [`guide`], [`check`], `file = "…"` |
//! | a dialect in code | [`Dialect`], [`Vendor`] |
//!
//! A file is compiled when it is loaded: templates and pointers are parsed, and unknown keys and
//! parameters are refused with their line. Two pure functions remain: one builds a request, the other
//! reads a response.
//!
//! # Where a vendor's quirk is
//!
//! | a quirk of | is in |
//! | --- | --- |
//! | one vendor | its file, `vendors/NAME.toml`; no code knows a vendor's name |
//! | the URL, the fields or the headers of requests | a template: `template.rs`; what is sent: `request.rs`, `fill.rs` |
//! | the client's authentication | `auth` and `[jwt]`: `compile.rs`, `compile/jwt.rs`, `jwt.rs` |
//! | the response, its errors or its base URL | `[response]`: `compile/response.rs`, `answer.rs`, `refusal.rs` |
//! | the expiry | `expires.as`: `expiry.rs` |
//! | API calls and rejected tokens | `[attach]` and `[expired]`: `compile/api.rs`, `attach.rs` |
//!
//! A quirk that the schema can't express is a crate of its own that implements
//! [`Provider`](biped_core::Provider).
//!
//! # The files
//!
//! ```text
//! dialect.rs    Dialect and Param: what a file says, compiled
//! step.rs       a request as data: its URL, fields, headers and JWT
//! response.rs   how a response is read, as data
//! load.rs       from the text of a file to a Dialect, or to its problems
//! reading.rs    typed reads of templates, paths and times
//! compile.rs    from TOML to a Dialect
//!   fields.rs, jwt.rs, response.rs, api.rs   its tables
//! names.rs      checks that every name in a template has a meaning
//! about.rs      [about]: what people need to know
//!   read.rs     read
//! template.rs   texts with {names} in them
//! answer_path.rs   where a value is in a response
//! expiry.rs     the forms of an expiry
//! skim.rs       the wanted keys of a JSON body
//! request.rs    builds a request; fill.rs: its fields; jwt.rs: its JWT
//!   key.rs, jwk.rs   the key that signs, in PEM or as a JSON Web Key
//! answer.rs     reads a response
//! refusal.rs    reads what a response says went wrong
//! attach.rs     puts a token on an API request, and judges the API's response
//! provider.rs   Vendor: the provider
//!   builder.rs, fetch.rs, revoke.rs   what it is made of; one fetch; the end of a token
//! config.rs     the kind `dialect`
//! example.rs    [[example]] as data
//!   read.rs, run.rs, compare.rs, keys.rs   read, run and compared; keys for it
//! check.rs      loads a file and runs its examples
//! catalogue.rs, vendors.rs   the vendor files of this crate; build.rs lists them
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]

mod about;
mod answer;
mod answer_path;
mod attach;
mod backing;
#[cfg(feature = "catalogue")]
mod catalogue;
mod check;
mod compile;
mod config;
mod dialect;
mod example;
mod expiry;
mod fill;
mod jwt;
mod load;
mod names;
mod provider;
mod reading;
mod refusal;
mod request;
mod response;
mod skim;
mod step;
mod template;
#[cfg(feature = "catalogue")]
mod vendors;

#[doc = include_str!("../ADDING_A_VENDOR.md")]
pub mod guide {}

#[cfg(feature = "catalogue")]
pub use self::catalogue::{Catalogue, Suggested, VendorFile};
pub use self::{
    about::{About, Limits, Scopes, Source, Verify},
    backing::Backing,
    check::{Assumption, Report, check, check_text},
    config::kind,
    dialect::{Dialect, Param},
    example::{Difference, EXAMPLE_TIME, Example},
    load::LoadError,
    provider::{Vendor, VendorBuilder},
};
