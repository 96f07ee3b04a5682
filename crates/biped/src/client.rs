//! For those who add an HTTP stack: how requests for tokens are sent, and how API calls get their
//! tokens.

pub use biped_core::{ClientIdentity, HttpClient, async_trait};
pub use biped_engine::{BASE_URL_PLACEHOLDER, CallError, Transport, call};
