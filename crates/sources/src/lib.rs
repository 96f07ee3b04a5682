//! Where Biped finds tokens that another party makes: in a file that the platform replaces, at a
//! metadata server, at another provider. And the keys that sign those it makes itself.
//!
//! An [`ExternalToken`] is a place of such a token. It is read for each attempt, and never kept.
//!
//! ```
//! use biped_core::SecretRef;
//! use biped_sources::ExternalToken;
//!
//! let projected = ExternalToken::from(SecretRef::file("/var/run/secrets/tokens/crm"));
//! assert_eq!(projected.name(0), "file:/var/run/secrets/tokens/crm");
//! ```
//!
//! # What a source may be
//!
//! | in a configuration | what it asks |
//! | --- | --- |
//! | `"file:…"`, `"env:…"`, `{ cmd = […] }`, a list of these | a secret: a projected Kubernetes token, a variable of GitLab or CircleCI |
//! | `{ github = { audience } }` | GitHub or Forgejo Actions |
//! | `{ gcp = { audience, account, access, endpoint } }` | Google's metadata server |
//! | `{ azure = { resource, client_id, object_id, resource_id, endpoint, key_directory } }` | the managed identity of App Service, Arc, or a virtual machine |
//! | `{ spiffe = { audience, id, socket } }` | a SPIFFE Workload API (feature `spiffe`) |
//! | `{ provider = "NAME", scope, params, field }` | another provider of the same configuration |
//! | `{ url = "https://…", headers, body, at }` | any endpoint |
//! | `{ sign = { key, … } }` | nothing: the assertion is signed here |
//! | `{ google_key = "file:…", sub }` | nothing: the assertion is signed with the key of a Google service account |
//!
//! # The files
//!
//! | file | what it is |
//! | --- | --- |
//! | `token.rs` | [`ExternalToken`] |
//! | `grammar.rs` | what a configuration may say |
//! | `source.rs` | what a source is made of, and what it has while it reads |
//! | `claims.rs` | [`Claims`]: what a token says about itself |
//! | `platform.rs` | requests to services of the platform, and their failures |
//! | `secret.rs`, `github.rs`, `gcp.rs`, `azure.rs`, `azure/arc.rs`, `spiffe.rs`, `provider.rs`, `url.rs`, `sign.rs`, `google_key.rs` | the sources |
//! | `vault.rs` | `Vault`: secrets in OpenBao and Vault (feature `vault`) |
//! | `vault/{place,settings,server,session,login}.rs` | what a reference names, `[vault]`, requests, and logins |
//! | `key.rs`, `key/` | [`SigningKey`], and how keys are read |
//! | `key_ref.rs` | [`KeyRef`]: where a key is |
//! | `signer.rs` | [`Signer`]: a key that signs elsewhere |
//! | `signer/{public,command}.rs` | [`PublicKey`], and a command that signs |
//! | `signer/pkcs11.rs`, `signer/pkcs11/` | a key in a PKCS#11 token (feature `pkcs11`) |
//! | `der.rs` | the part of DER that keys and certificates need |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod azure;
mod claims;
mod der;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gcp;
mod github;
mod google_key;
mod grammar;
mod key;
mod key_ref;
mod platform;
mod provider;
mod secret;
mod sign;
mod signer;
mod source;
#[cfg(feature = "spiffe")]
mod spiffe;
mod token;
mod url;
#[cfg(feature = "vault")]
mod vault;

#[cfg(feature = "pkcs11")]
pub use self::signer::pkcs11::remember_refused_pins;
#[cfg(feature = "vault")]
pub use self::vault::{Vault, VaultSettings};
pub use self::{
    claims::Claims,
    der::key_of_certificate,
    google_key::TOKEN_ENDPOINT as GOOGLE_TOKEN_ENDPOINT,
    key::{Algorithm, KeySource, SigningKey, fresh_id, hmac_jws, sha256},
    key_ref::{AnyKey, KeyRef},
    signer::{PublicKey, Signer},
    source::{Asking, Wanted},
    token::{ExternalToken, GivenToken},
};
