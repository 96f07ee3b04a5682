//! A token in a file, in a variable or in a command's output.

use biped_core::{Error, ErrorKind, ProviderId, SecretRef, async_trait};

use crate::source::{Asking, Found, Source};

pub(crate) struct FromSecret(pub(crate) SecretRef);

#[async_trait]
impl Source for FromSecret {
    fn name(&self, candidate: usize) -> String {
        self.0.place(candidate)
    }

    fn identify(&self, id: ProviderId, key: &str) -> ProviderId {
        id.with("credential", key).credential(&self.0)
    }

    async fn read(&self, cx: &Asking<'_>) -> Result<Found, Error> {
        let read = cx.fetch.secret(&self.0).await;
        read.map(Found::from).map_err(|error| {
            // A variable stays as it is while the process lives. An agent may replace anything else.
            let is_variable = self.name(cx.fetch.candidate()).starts_with("env:");
            let passes = error.kind() == ErrorKind::Secret && !is_variable;
            let transient = error.is_transient() || passes;
            error.transient(transient)
        })
    }
}
