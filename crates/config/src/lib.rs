//! How a provider is made from configuration: [`ProviderKind`] says what there may be, [`ProviderConfig`]
//! what there is.

mod field;
mod kind;
mod problem;
mod provider;
mod value;

pub use self::{
    field::{Field, FieldType},
    kind::ProviderKind,
    problem::{Problem, nearest},
    provider::ProviderConfig,
    value::{ConfigValue, Origin, RawValue},
};
