//! The provider of kind `platform`: a token of the platform is the access token.
//!
//! ```toml
//! [providers.keyvault]
//! kind = "platform"
//! token = { azure = { resource = "https://vault.azure.net" } }
//! api_base_url = "https://my-vault.vault.azure.net"
//!
//! [providers.run]
//! kind = "platform"
//! token = { gcp = { audience = "https://svc-abc.a.run.app" } }
//!
//! [providers.storage]
//! kind = "platform"
//! token = { gcp = { access = true } }
//! scope = "https://www.googleapis.com/auth/devstorage.read_only"
//! ```
//!
//! `token` is any source of tokens ([`ExternalToken`]). The token is valid as long as the source says,
//! else until the `exp` of a JWT, else for 15 minutes. A request's `scope`, `audience` and `resource`
//! replace those of the source.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod platform;

pub use self::platform::{Platform, kind};
pub use biped_sources::ExternalToken;
