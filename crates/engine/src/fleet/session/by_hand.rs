//! What is done with the store beside flights: tokens are shown and forgotten.

use biped_core::{Error, Generation, Token, TokenKey};

use super::SharedStore;
use crate::{fleet::vet, settings::TOMBSTONE};

impl SharedStore {
    /// Forgets a key's tokens, and returns an error if that failed.
    pub(crate) async fn forget(&self, key: &TokenKey, through: Generation) -> Result<(), Error> {
        Ok(self.store.forget(key, through, TOMBSTONE).await?)
    }

    /// The generation of the token that is stored, usable or not; none that no clock may have said.
    pub(crate) async fn generation(&self, key: &TokenKey) -> Result<Generation, Error> {
        let stored = self.store.get(key).await?;
        let generation = stored.map(|stored| stored.generation);
        let now = self.clock.now().wall;
        Ok(generation
            .filter(|it| it.is_plausible(now))
            .unwrap_or_default())
    }

    /// Reads what is stored, expired or not, to be shown.
    pub(crate) async fn peek(&self, key: &TokenKey) -> Result<Option<Token>, Error> {
        let stored = self.store.get(key).await?;
        let now = self.clock.now().wall;
        let decoded = stored.and_then(|stored| vet::decode(&stored, self.store.is_sealed(), now));
        Ok(decoded.map(|(token, _)| token))
    }
}
