//! [`SecretRef`]: where a secret is, how it is read, and what tells one from another without telling it.
//!
//! `biped-core` re-exports all that a provider, a store or an application needs of it.
//!
//! Each file uses only files above it.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `pem.rs` | [`pem_blocks`]: PEM as parsers accept it |
//! | `identity.rs` | [`IdentityKey`], under which digests of secrets are made |
//! | `secret.rs`, `secret/` | [`SecretRef`]: places of secrets, and how they are read |

mod identity;
mod pem;
mod secret;

pub use self::{
    identity::{IdentityKey, KeyedHash, Mark},
    pem::pem_blocks,
    secret::{
        COMMAND_TIMEOUT, Member, References, SecretRef, SecretSource, SecretUse, SourceContext,
        name_credentials,
    },
};
