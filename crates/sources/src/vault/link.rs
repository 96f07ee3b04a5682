//! [`Link`]: what references and keys of a configuration have in common, the server.

use std::sync::{Arc, OnceLock};

use biped_core::{Error, ErrorKind, HttpClient};

use super::{
    server::{self, Server},
    session::Sessions,
    settings::VaultSettings,
};

/// The server, once it is known.
#[derive(Debug, Default)]
pub(super) struct Link {
    settings: OnceLock<VaultSettings>,
    sessions: OnceLock<Sessions>,
}

impl Link {
    pub(super) fn locate(&self, settings: VaultSettings) {
        // A second server would leave it open which one a secret is from.
        let _ = self.settings.set(settings);
    }

    pub(super) fn connect(&self, http: Arc<dyn HttpClient>) {
        let settings = self.settings.get_or_init(VaultSettings::new).clone();
        let _ = self
            .sessions
            .set(Sessions::new(Server::new(settings, http)));
    }

    /// The server. `name` is what is asked for, as errors call it.
    pub(super) fn sessions(&self, name: &str) -> Result<&Sessions, Error> {
        self.sessions.get().ok_or_else(|| {
            Error::configuration(format!(
                "{name} can't be read before the configuration is complete"
            ))
            .with_remedy("use another place for the secrets of [store], [http] and [vault]")
        })
    }

    /// Tells a place of this server from the same one of another: with the address and the namespace.
    pub(super) fn identity(&self, reference: &str) -> String {
        let settings = self.settings.get().cloned().unwrap_or_default();
        let address = server::address_text(&settings);
        // Debug of texts escapes quotes, so different places give different texts.
        format!("{:?}", (reference, address, &settings.namespace))
    }
}

/// Names the place in an error that says nothing of it yet.
pub(super) fn at(error: Error, reference: &str) -> Error {
    match error.kind() {
        ErrorKind::Configuration => error,
        _ if error.token_source().is_some() => error,
        _ => error.with_token_source(reference.to_owned()),
    }
}
