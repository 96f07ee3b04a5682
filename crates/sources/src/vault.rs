//! [`Vault`]: secrets in OpenBao and Vault, which `vault:` references name.

mod link;
mod login;
mod place;
mod server;
mod session;
mod settings;
mod transit;

use std::sync::Arc;

use biped_config::{SecretScheme, Section};
use biped_core::{
    Error, FetchContext, SecretSource, SecretString, SourceContext, async_trait, wire,
};
use serde_json::Value;

pub use self::settings::VaultSettings;
pub(crate) use self::transit::TransitKey;
use self::{
    link::{Link, at},
    place::{Place, SCHEME},
    session::{Asked, Sessions},
};

/// An OpenBao or Vault server. `vault:MOUNT/PATH#FIELD` names its key-value secrets (version 2), and
/// `key = { vault = "KEY" }` the keys of its transit engine, which sign in the server.
///
/// The references of a configuration are read before it is known where the server is, so the server is
/// [located](Self::locate) afterwards. Requests are sent with the client of the configuration
/// ([`SecretSchemes::connect`](biped_config::SecretSchemes::connect)). Until then no secret can be read. A
/// secret is read at each fetch and not kept; the token of a login is kept for four fifths of its life.
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
    link: Arc<Link>,
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
            .with_extension(self.clone())
    }

    /// The section `[vault]`, which is read into [`VaultSettings`].
    #[must_use]
    pub fn section() -> Section {
        settings::section(SCHEME)
    }

    /// Says where the server is. References of one path in two servers differ, so this comes before
    /// providers are made of them. Only the first call counts.
    pub fn locate(&self, settings: VaultSettings) {
        self.link.locate(settings);
    }

    fn source(&self, place: Place) -> Arc<dyn SecretSource> {
        Arc::new(Secret {
            place,
            link: self.link.clone(),
        })
    }
}

/// A field of a secret.
#[derive(Debug)]
struct Secret {
    place: Place,
    link: Arc<Link>,
}

#[async_trait]
impl SecretSource for Secret {
    fn reference(&self) -> String {
        self.place.to_string()
    }

    fn identity(&self) -> String {
        self.link.identity(&self.reference())
    }

    async fn read(&self, cx: &SourceContext<'_>) -> Result<SecretString, Error> {
        let reference = self.reference();
        let (server, http) = self.link.open(&reference, cx)?;
        let fetch = FetchContext::new(http, cx.clock());
        let read = self.field(server, &fetch).await;
        read.map_err(|error| at(error, &reference))
    }
}

impl Secret {
    async fn field(&self, server: &Sessions, cx: &FetchContext<'_>) -> Result<SecretString, Error> {
        let (place, field) = (&self.place, &self.place.field);
        let name = place.to_string();
        let asked = Asked {
            segments: &place.segments(),
            body: None,
            name: &name,
            missing: "secret",
        };
        let response = server.ask(&asked, cx).await?;
        let answer = wire::json(&response)
            .map_err(|_| server::no_answer(&name, "something that is not JSON"))?;
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
