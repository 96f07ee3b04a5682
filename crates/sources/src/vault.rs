//! [`Vault`]: secrets in OpenBao and Vault, which `vault:` references name.

mod login;
mod place;
mod server;
mod session;
mod settings;

use std::sync::{Arc, OnceLock};

use biped_config::{SecretScheme, Section};
use biped_core::{
    Error, ErrorKind, FetchContext, HttpClient, SecretSource, SecretString, SourceContext,
    async_trait, wire,
};
use serde_json::Value;

pub use self::settings::VaultSettings;
use self::{place::Place, server::Server, session::Sessions};

/// The scheme of references: `vault:MOUNT/PATH#FIELD`.
const SCHEME: &str = "vault";

/// An OpenBao or Vault server, whose key-value secrets (version 2) `vault:MOUNT/PATH#FIELD` names.
///
/// The references of a configuration are read before it is known where the server is, so the server is
/// [connected](Self::connect) afterwards. Until then no secret can be read. A secret is read at each fetch
/// and not kept; the token of a login is kept for four fifths of its life.
///
/// ```
/// use biped_sources::Vault;
///
/// let vault = Vault::new();
/// assert_eq!(vault.scheme().name(), "vault");
/// assert_eq!(Vault::section().name(), "vault");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Vault {
    server: Arc<OnceLock<Sessions>>,
}

impl Vault {
    /// A server that is not connected yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The scheme of references to this server's secrets: `vault:MOUNT/PATH#FIELD`, or
    /// `{ vault = { mount, path, field } }` for a mount with slashes.
    #[must_use]
    pub fn scheme(&self) -> SecretScheme {
        let (of_text, of_table) = (self.clone(), self.clone());
        let open = move |text: &str| Ok(of_text.source(Place::parse(text)?));
        SecretScheme::new(SCHEME, open)
            .with_table(move |parts| Ok(of_table.source(Place::from_parts(parts)?)))
    }

    /// The section `[vault]`, which is read into [`VaultSettings`].
    #[must_use]
    pub fn section() -> Section {
        settings::section(SCHEME)
    }

    /// Says where the server is, and what sends requests to it. Only the first call counts.
    pub fn connect(&self, settings: VaultSettings, http: Arc<dyn HttpClient>) {
        // A second server would leave it open which one a secret is from.
        let _ = self.server.set(Sessions::new(Server::new(settings, http)));
    }

    fn source(&self, place: Place) -> Arc<dyn SecretSource> {
        Arc::new(Secret {
            place,
            server: self.server.clone(),
        })
    }
}

/// A field of a secret.
#[derive(Debug)]
struct Secret {
    place: Place,
    server: Arc<OnceLock<Sessions>>,
}

#[async_trait]
impl SecretSource for Secret {
    fn reference(&self) -> String {
        self.place.to_string()
    }

    async fn read(&self, cx: &SourceContext<'_>) -> Result<SecretString, Error> {
        let server = self.server.get().ok_or_else(|| {
            Error::configuration(format!(
                "{} can't be read before the configuration is complete",
                self.place
            ))
            .with_remedy("use another place for the secrets of [store], [http] and [vault]")
        })?;
        let fetch = FetchContext::new(server.server.http(), cx.clock());
        self.field(server, &fetch)
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::Configuration => error,
                _ if error.token_source().is_some() => error,
                _ => error.with_token_source(self.reference()),
            })
    }
}

impl Secret {
    async fn field(&self, server: &Sessions, cx: &FetchContext<'_>) -> Result<SecretString, Error> {
        let (place, field) = (&self.place, &self.place.field);
        let segments = place.segments();
        let response = server.get(&segments, &place.to_string(), cx).await?;
        let answer = wire::json(&response)
            .map_err(|_| server::no_answer(&place.to_string(), "something that is not JSON"))?;
        // Deleted versions have metadata, and no data.
        let Some(data) = answer["data"]["data"].as_object() else {
            return Err(Error::secret(format!("there is no secret at {place}")));
        };
        match data.get(field) {
            Some(Value::String(text)) => Ok(text.clone().into()),
            Some(Value::Number(number)) => Ok(number.to_string().into()),
            Some(_) => Err(Error::secret(format!("{place} is not a text or a number"))),
            None => Err(Error::secret(format!(
                "the secret has no field {field}: {place}"
            ))),
        }
    }
}
