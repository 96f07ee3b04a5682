//! [`VaultSettings`]: the section `[vault]`.

use std::{collections::BTreeMap, fmt};

use biped_config::{
    ConfigTable, ConfigValue, Field, FieldType, Origin, ProviderConfig, Section, Value,
};
use biped_core::{Error, ProviderId, SecretRef};
use url::Url;

use super::place::{SCHEME, is_segment};
use crate::token::ExternalToken;

/// Where an OpenBao or Vault server is, and how this process opens it.
///
/// ```
/// use biped_core::SecretRef;
/// use biped_sources::VaultSettings;
///
/// let settings = VaultSettings::new()
///     .address("https://vault.example:8200".parse()?)
///     .login("jwt", "biped", SecretRef::file("/var/run/secrets/tokens/vault").into());
/// # let _ = settings;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct VaultSettings {
    pub(super) address: Option<Url>,
    pub(super) auth: Auth,
    pub(super) namespace: Option<String>,
}

/// How a process opens a server.
#[derive(Clone)]
pub(super) enum Auth {
    Token(SecretRef),
    Login(Login),
}

/// A login with a JWT of another party.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) mount: String,
    pub(super) role: String,
    pub(super) jwt: ExternalToken,
}

/// The variable that holds the token if none is configured.
const TOKEN: &str = "VAULT_TOKEN";

/// The mount of logins if none is configured.
const MOUNT: &str = "jwt";

impl Default for VaultSettings {
    fn default() -> Self {
        Self {
            address: None,
            auth: Auth::Token(SecretRef::env(TOKEN)),
            namespace: None,
        }
    }
}

impl VaultSettings {
    /// The server that `VAULT_ADDR` or `BAO_ADDR` names, and the token in `VAULT_TOKEN`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the server's address: https, or http to this machine. Default: that in `VAULT_ADDR`, else in
    /// `BAO_ADDR`.
    #[must_use]
    pub fn address(mut self, url: Url) -> Self {
        self.address = Some(url);
        self
    }

    /// Sets the token that opens the server. Default: that in `VAULT_TOKEN`.
    #[must_use]
    pub fn token(mut self, token: SecretRef) -> Self {
        self.auth = Auth::Token(token);
        self
    }

    /// Logs in at the JWT method under this mount, with this role, instead of a fixed token.
    #[must_use]
    pub fn login(
        mut self,
        mount: impl Into<String>,
        role: impl Into<String>,
        jwt: ExternalToken,
    ) -> Self {
        self.auth = Auth::Login(Login {
            mount: mount.into(),
            role: role.into(),
            jwt,
        });
        self
    }

    /// Sets the namespace that paths are in. Default: none.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }
}

impl fmt::Debug for VaultSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address.as_ref().map(biped_core::redacted_url);
        f.debug_struct("VaultSettings")
            .field("address", &address)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

pub(super) fn section(name: &str) -> Section {
    Section::new(name, read)
        .about("The OpenBao or Vault server of vault:MOUNT/PATH#FIELD.")
        .field(
            Field::new("address", FieldType::Url)
                .about("The server's address. Default: from VAULT_ADDR or BAO_ADDR."),
        )
        .field(
            Field::new("token", FieldType::Secret)
                .about("The token that opens it. Default: \"env:VAULT_TOKEN\"."),
        )
        .field(Field::new("login", FieldType::SecretTable).about(
            "Instead of token: { mount, role, jwt }, a login with a JWT, which may be any token source.",
        ))
        .field(Field::new("namespace", FieldType::Text).about("The namespace. Default: none."))
}

fn read(table: &ConfigTable) -> Result<VaultSettings, Error> {
    let mut settings = VaultSettings::new();
    settings.address = table.url("address");
    if settings
        .address
        .as_ref()
        .is_some_and(|url| url.query().is_some())
    {
        drop(table.invalid("address", "expected a URL without a query"));
    }
    if let Some(namespace) = table.string("namespace") {
        let is_header = http::HeaderValue::from_str(&namespace).is_ok();
        if !is_header || namespace.is_empty() {
            drop(table.invalid(
                "namespace",
                "expected a namespace, such as \"team\" or \"team/app\"",
            ));
        }
        settings.namespace = Some(namespace);
    }
    let login = table.table("login");
    let token = table.secret("token");
    if token.is_some() && login.is_some() {
        drop(table.invalid("token", "token and login are both set; remove one of them"));
    }
    if let Some(token) = token {
        check_elsewhere(table, "token", &token);
        settings = settings.token(token);
    }
    if let Some(login) = login.and_then(|table| read_login(&table)) {
        settings.auth = Auth::Login(login);
    }
    Ok(settings)
}

fn read_login(table: &ConfigTable) -> Option<Login> {
    table.check(&[
        Field::new("mount", FieldType::Text),
        Field::new("role", FieldType::Text),
        Field::new("jwt", FieldType::TokenSource),
    ]);
    let mount = table.string("mount").unwrap_or_else(|| MOUNT.to_owned());
    if !mount.split('/').all(is_segment) {
        drop(table.invalid(
            "mount",
            "expected the path of a mount, such as \"kv\" or \"team/kv\"",
        ));
    }
    for required in ["role", "jwt"] {
        if table.value(required).is_none() {
            drop(table.missing(required));
        }
    }
    if let Some(value) = table.value("jwt")
        && matches!(&value.raw, Value::Table(source) if source.contains_key("provider"))
    {
        let message = "another provider's token can't log in; expected another source";
        drop(table.invalid("jwt", message));
        return None;
    }
    // It finds no providers, and no source but another provider's asks for one.
    let nobody = ProviderConfig::new("vault", "vault", Origin::Default, BTreeMap::new());
    let jwt = ExternalToken::from_table(&nobody, table, "jwt")?;
    let read = jwt.identify(ProviderId::new("vault", "", ""), "jwt");
    let reads_inside = read.references().any(|place| is_inside(&place.to_string()));
    if reads_inside || table.value("jwt").is_some_and(is_signed_inside) {
        drop(table.invalid("jwt", INSIDE));
    }
    if jwt.lacks_issuer() || jwt.lacks_audience() {
        let message = if jwt.lacks_issuer() {
            "the source names no issuer; set iss in sign"
        } else {
            "the source names no audience; set audience in it (aud in sign)"
        };
        drop(table.invalid("jwt", message));
    }
    Some(Login {
        mount,
        role: table.string("role")?,
        jwt,
    })
}

/// What is wrong with what opens the server if that asks the server itself: it would wait for itself.
const INSIDE: &str = "what opens the vault can't be inside it";

fn check_elsewhere(table: &ConfigTable, key: &str, secret: &SecretRef) {
    if (0..secret.candidates()).any(|at| is_inside(&secret.place(at))) {
        drop(table.invalid(key, INSIDE));
    }
}

fn is_inside(place: &str) -> bool {
    place
        .strip_prefix(SCHEME)
        .is_some_and(|rest| rest.starts_with(':'))
}

/// Whether a source signs with a key of the server's transit engine.
fn is_signed_inside(source: &ConfigValue) -> bool {
    let key = part(source, "sign").and_then(|sign| part(sign, "key"));
    key.is_some_and(|key| part(key, SCHEME).is_some())
}

fn part<'a>(value: &'a ConfigValue, name: &str) -> Option<&'a ConfigValue> {
    match &value.raw {
        Value::Table(parts) => parts.get(name),
        _ => None,
    }
}
