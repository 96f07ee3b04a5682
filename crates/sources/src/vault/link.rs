//! [`Link`]: what references and keys of a configuration have in common, the server.

use std::sync::OnceLock;

use biped_core::{Error, ErrorKind, HttpClient, SourceContext};

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

    /// The server, and what sends requests to it. `name` is what is asked for, as errors call it.
    pub(super) fn open<'a>(
        &self,
        name: &str,
        cx: &SourceContext<'a>,
    ) -> Result<(&Sessions, &'a dyn HttpClient), Error> {
        let http = cx.http().map_err(|error| {
            let message = format!("{name} can't be read: {}", error.message());
            error.with_message(message)
        })?;
        let sessions = self.sessions.get_or_init(|| {
            let settings = self.settings.get_or_init(VaultSettings::new).clone();
            Sessions::new(Server::new(settings))
        });
        Ok((sessions, http))
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
