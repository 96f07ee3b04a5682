//! Reads what vendors write, and says which URLs a secret may be sent to.
//!
//! `biped-core` re-exports it, as `biped_core::wire` and by name.
//!
//! Each file uses only files above it.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `url.rs` | which URLs secrets may be sent to |
//! | `http.rs` | [`HttpClient`]: how token requests leave the process |
//! | `plain_http.rs` | [`PlainHttp`]: which servers are asked without TLS |
//! | `base_urls.rs` | [`BaseUrls`]: which hosts a response may name |
//! | `lifetime.rs` | [`Lifetime`] and the limits of every token's life |
//! | `challenge.rs` | the parameters of `WWW-Authenticate` |
//! | `pointer.rs` | where a value is in a response |
//! | `wire.rs` | the decoding that every provider needs |
//! | `refusal.rs` | the vendor's words in an error, in whatever envelope |

mod base_urls;
mod challenge;
mod http;
mod lifetime;
mod plain_http;
mod pointer;
mod refusal;
mod url;
pub mod wire;

pub use self::{
    base_urls::BaseUrls,
    http::HttpClient,
    lifetime::{DEFAULT_LIFETIME, Lifetime, MAX_LIFETIME, NoLifetime},
    plain_http::PlainHttp,
    url::{check_platform, check_secure, is_loopback, is_on_host, redacted_url},
};
