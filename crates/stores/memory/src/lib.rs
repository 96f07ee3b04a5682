//! Keeps tokens in memory: [`MemoryStore`] is a [`TokenStore`](biped_core::TokenStore) for several token
//! managers of one process, and for tests.
//!
//! ```
//! use biped_core::{TokenKey, TokenStore as _};
//! use biped_memory::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), biped_core::StoreError> {
//! let store = MemoryStore::new();
//! assert!(store.get(&TokenKey::from_bytes([7; 32])).await?.is_none());
//! # Ok(())
//! # }
//! ```

mod store;

pub use self::store::MemoryStore;
