//! How providers, stores and sections are declared, and how their configuration is read:
//! [`ProviderKind`] says which keys there may be, [`ConfigTable`] which there are.

mod field;
mod problem;
mod provider;
mod table;
mod toml;
mod value;

pub use self::{
    field::{Field, FieldType},
    problem::{Problem, nearest},
    provider::{ProviderConfig, ProviderKind},
    table::ConfigTable,
    value::{ConfigValue, Origin, Value},
};
