//! How providers, stores, sections and secrets are declared, and how their configuration is read.
//!
//! | declares | makes | out of |
//! | --- | --- | --- |
//! | [`ProviderKind`] | a [`Provider`](biped_core::Provider) | [`ProviderConfig`] |
//! | [`StoreKind`] | a [`TokenStore`](biped_core::TokenStore) | [`StoreConfig`] |
//! | [`Section`] | a type of its own | [`ConfigTable`] |
//! | [`SecretScheme`] | a [`SecretSource`](biped_core::SecretSource) | what follows `name:` |

mod field;
mod late;
mod origin;
mod problem;
mod provider;
mod rejection;
mod secret;
mod section;
mod store;
mod table;
mod tenant;
mod toml;
mod value;

pub use self::{
    field::{Field, FieldType, Members},
    late::LateHttp,
    origin::Origin,
    problem::{Problem, nearest},
    provider::{ProviderConfig, ProviderKind},
    secret::{SecretScheme, SecretSchemes},
    section::Section,
    store::{StoreConfig, StoreKind},
    table::ConfigTable,
    tenant::{TenantPattern, of_tenant},
    value::{ConfigValue, Value},
};
