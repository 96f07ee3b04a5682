//! Any other vendor for Biped: the provider of kind `dialect`, whose vendors are described in a few
//! lines of TOML.
//!
//! A dialect says how one vendor spells the exchange of credentials for a token. Its defaults are
//! those of RFC 6749, so that a file holds only the differences:
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
//! | for | read |
//! | --- | --- |
//! | a vendor of the catalogue | [`Catalogue`], `vendor = "…"` |
//! | a vendor of one's own | [`guide`], [`check`], `file = "…"` |
//! | an application that builds its providers itself | [`Dialect`], [`Vendor`] |
//!
//! The text of a dialect is compiled when it is loaded: templates and pointers are taken apart,
//! unknown keys and parameters are refused with their line. What is left to run is two pure
//! functions, one that builds a request and one that reads an answer.

mod about;
mod answer;
mod answer_path;
mod attach;
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
mod request;
mod response;
mod section;
mod skim;
mod source;
mod step;
mod template;
#[cfg(feature = "catalogue")]
mod vendors;

#[doc = include_str!("../ADDING_A_VENDOR.md")]
pub mod guide {}

#[cfg(feature = "catalogue")]
pub use self::catalogue::{Catalogue, VendorFile};
pub use self::{
    about::About,
    check::{Report, check, check_text},
    config::kind,
    dialect::{Dialect, Param},
    example::{Difference, EXAMPLE_TIME, Example},
    load::LoadError,
    provider::{Vendor, VendorBuilder},
};
