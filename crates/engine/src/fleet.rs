//! What processes share through a store.

pub(crate) mod format;
pub(crate) mod session;
pub(crate) mod vet;
