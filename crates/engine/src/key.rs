//! What a key knows, and how keys are found.

pub(crate) mod cached;
pub(crate) mod refusal;
pub(crate) mod schedule;
pub(crate) mod slot;
pub(crate) mod state;
pub(crate) mod table;
