//! For those who add a store: where tokens are kept beyond the process, and how a kind of store is
//! declared.

pub use biped_config::{Field, FieldType, StoreConfig, StoreKind};
pub use biped_core::{
    AccountKey, Claim, Clock, DurableEntry, DurableLock, DurableStore, Generation, IdentityKey,
    Lease, LeaseFailure, LeaseId, Now, Revision, StoreError, StoreKey, StoredToken, SystemClock,
    TokenKey, TokenStore, async_trait,
};
pub use biped_engine::{Credential, CredentialState};
pub use biped_memory::MemoryStore;
