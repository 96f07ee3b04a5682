//! [`Grant`]: what a token is requested with.

use biped_config::{Field, FieldType, ProviderConfig};
use biped_core::{Account, Error, ProviderId, SecretRef, SecretString};
use biped_sources::{Asking, ExternalToken};

use crate::presented::Presented;

/// What a token is requested with.
#[derive(Clone, Debug, Default)]
pub(crate) enum Grant {
    /// RFC 6749 §4.4.
    #[default]
    ClientCredentials,
    /// RFC 7523 §2.1.
    JwtBearer(ExternalToken),
    /// RFC 8693.
    TokenExchange(Box<Exchange>),
    /// RFC 6749 §4.3.
    Password {
        username: SecretRef,
        password: SecretRef,
    },
    /// RFC 6749 §6, with a refresh token that the server does not replace.
    FixedRefreshToken(SecretRef),
    /// RFC 6749 §6, with a refresh token that the server replaces at each use.
    RefreshToken(Rotating),
}

/// A refresh token that the server replaces at each use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rotating {
    /// Where the first one is.
    pub(crate) seed: Option<SecretRef>,
    /// The account's name; `None` for the provider's.
    pub(crate) account: Option<String>,
}

/// What is exchanged. Types are whole.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) subject: ExternalToken,
    pub(crate) subject_type: String,
    pub(crate) actor: Option<(ExternalToken, String)>,
    pub(crate) requested_type: Option<String>,
}

/// The fields of a request, as one attempt read them.
#[derive(Default)]
pub(crate) struct GrantFields {
    pub(crate) tokens: Vec<(&'static str, Presented)>,
    pub(crate) secrets: Vec<(&'static str, SecretString)>,
    pub(crate) texts: Vec<(&'static str, String)>,
}

/// The names that `grant` takes.
const NAMES: &[&str] = &[
    CLIENT_CREDENTIALS,
    JWT_BEARER,
    TOKEN_EXCHANGE,
    REFRESH_TOKEN,
    PASSWORD,
];

const CLIENT_CREDENTIALS: &str = "client_credentials";
const JWT_BEARER: &str = "jwt_bearer";
pub(crate) const TOKEN_EXCHANGE: &str = "token_exchange";
const REFRESH_TOKEN: &str = "refresh_token";
const PASSWORD: &str = "password";

const TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:";

/// The keys of grants, each with the grant that it is for.
const KEYS: &[(&str, Field)] = &[
    (
        JWT_BEARER,
        Field::new("assertion", FieldType::TokenSource)
            .about("Where the assertion of grant = \"jwt_bearer\" is found (RFC 7523 §2.1)."),
    ),
    (
        TOKEN_EXCHANGE,
        Field::new("subject_token", FieldType::TokenSource)
            .about("Where the token is found that grant = \"token_exchange\" exchanges (RFC 8693)."),
    ),
    (
        TOKEN_EXCHANGE,
        Field::new("subject_token_type", FieldType::Text).about(
            "The type of subject_token, whole or without urn:ietf:params:oauth:token-type:; default: \
             access_token for another provider's, id_token for its field id_token, else jwt.",
        ),
    ),
    (
        TOKEN_EXCHANGE,
        Field::new("actor_token", FieldType::TokenSource)
            .about("Where the token of the acting party is found (RFC 8693)."),
    ),
    (
        TOKEN_EXCHANGE,
        Field::new("actor_token_type", FieldType::Text)
            .about("The type of actor_token, as subject_token_type; default: jwt."),
    ),
    (
        TOKEN_EXCHANGE,
        Field::new("requested_token_type", FieldType::Text)
            .about("The type of token to ask for, as subject_token_type; default: the server's."),
    ),
    (
        REFRESH_TOKEN,
        Field::new(REFRESH_TOKEN, FieldType::Secret)
            .about("The refresh token of grant = \"refresh_token\" (RFC 6749 §6); if it rotates, the first one."),
    ),
    (
        REFRESH_TOKEN,
        Field::new("rotates", FieldType::Bool).about(
            "Whether the server replaces the refresh token at each use, so that it is kept in a sealed \
             store (default: true); false: refresh_token is a fixed one, and is read at each fetch.",
        ),
    ),
    (
        REFRESH_TOKEN,
        Field::new("account", FieldType::Text).about(
            "The account that a rotating refresh token belongs to: a part of its name in the store; \
             default: the provider's name.",
        ),
    ),
    (
        PASSWORD,
        Field::new("username", FieldType::Identifier)
            .about("The user name of grant = \"password\" (RFC 6749 §4.3)."),
    ),
    (
        PASSWORD,
        Field::new("password", FieldType::Secret).about(
            "The password of grant = \"password\", for servers that have no other grant: RFC 9700 \
             §2.4 forbids it.",
        ),
    ),
];

/// The keys that grants declare.
pub(crate) fn fields() -> impl Iterator<Item = Field> {
    let grant = Field::new("grant", FieldType::Choice(NAMES))
        .about("What tokens are requested with; default: client_credentials.");
    std::iter::once(grant).chain(KEYS.iter().map(|(_, field)| field.clone()))
}

impl Grant {
    /// Reads the grant and its keys, and notes what is wrong.
    pub(crate) fn from_config(config: &ProviderConfig) -> Option<Self> {
        let name = config.string("grant");
        let name = name.as_deref().unwrap_or(CLIENT_CREDENTIALS);
        for (grant, field) in KEYS.iter().filter(|(grant, _)| *grant != name) {
            let key = field.name();
            if config.value(key).is_some() {
                let message = match key {
                    "assertion" => "assertion is for grant = \"jwt_bearer\"; did you mean \
                                    client_assertion?"
                        .into(),
                    key => format!("{key} is for grant = \"{grant}\""),
                };
                drop(config.invalid(key, message));
            }
        }
        let token = |key: &str| {
            if config.value(key).is_none() {
                let expected = FieldType::TokenSource.expected();
                drop(config.invalid(key, format!("missing; expected {expected}")));
            }
            ExternalToken::from_config(config, key)
        };
        let secret = |key: &str| {
            if config.value(key).is_none() {
                drop(config.missing(key));
            }
            config.secret(key)
        };
        Some(match name {
            CLIENT_CREDENTIALS => Self::ClientCredentials,
            JWT_BEARER => Self::JwtBearer(token("assertion")?),
            TOKEN_EXCHANGE => {
                let subject = token("subject_token");
                let actor_type = config.string("actor_token_type");
                let actor = ExternalToken::from_config(config, "actor_token");
                if actor_type.is_some() && config.value("actor_token").is_none() {
                    let message = "actor_token_type is set, but actor_token is not";
                    drop(config.invalid("actor_token_type", message));
                }
                let subject = subject?;
                let subject_type = config.string("subject_token_type");
                let default = || subject.token_type().into();
                let actor_type = actor_type.unwrap_or_else(|| "jwt".into());
                Self::TokenExchange(Box::new(Exchange {
                    subject_type: whole_type(subject_type.unwrap_or_else(default)),
                    actor: actor.map(|actor| (actor, whole_type(actor_type))),
                    requested_type: config.string("requested_token_type").map(whole_type),
                    subject,
                }))
            }
            REFRESH_TOKEN => {
                let account = config.string("account");
                if config.boolean("rotates") == Some(false) {
                    if account.is_some() {
                        let message = "account is set, but rotates is false";
                        drop(config.invalid("account", message));
                    }
                    Self::FixedRefreshToken(secret(REFRESH_TOKEN)?)
                } else {
                    if config.value("tenant").is_some() {
                        let message = "tenant is set; a refresh token that the server replaces \
                                       belongs to one account";
                        drop(config.invalid("grant", message));
                    }
                    let seed = config.secret(REFRESH_TOKEN);
                    Self::RefreshToken(Rotating { seed, account })
                }
            }
            PASSWORD => {
                let (username, password) = (secret("username"), secret("password"));
                Self::Password {
                    username: username?,
                    password: password?,
                }
            }
            _ => return None,
        })
    }

    /// The name in the configuration.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::ClientCredentials => CLIENT_CREDENTIALS,
            Self::JwtBearer(_) => JWT_BEARER,
            Self::TokenExchange(_) => TOKEN_EXCHANGE,
            Self::FixedRefreshToken(_) | Self::RefreshToken(_) => REFRESH_TOKEN,
            Self::Password { .. } => PASSWORD,
        }
    }

    /// The `grant_type` of requests.
    pub(crate) fn wire_name(&self) -> &'static str {
        match self {
            Self::ClientCredentials => CLIENT_CREDENTIALS,
            Self::JwtBearer(_) => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Self::TokenExchange(_) => "urn:ietf:params:oauth:grant-type:token-exchange",
            Self::FixedRefreshToken(_) | Self::RefreshToken(_) => REFRESH_TOKEN,
            Self::Password { .. } => PASSWORD,
        }
    }

    /// Whether a client may leave out who it is.
    pub(crate) fn may_be_anonymous(&self) -> bool {
        matches!(self, Self::JwtBearer(_) | Self::TokenExchange(_))
    }

    /// Whether the scopes are in the assertion, and not in the request.
    pub(crate) fn takes_scope(&self) -> bool {
        matches!(self, Self::JwtBearer(token) if token.takes_scope())
    }

    /// Whether a type of token was requested, so that the token may be of no use for API calls.
    pub(crate) fn requests_type(&self) -> bool {
        matches!(self, Self::TokenExchange(it) if it.requested_type.is_some())
    }

    /// The tokens of other parties, each by its key.
    pub(crate) fn tokens(&self) -> Vec<(&'static str, &ExternalToken)> {
        match self {
            Self::JwtBearer(token) => vec![("assertion", token)],
            Self::TokenExchange(it) => {
                let actor = it.actor.as_ref().map(|(actor, _)| ("actor_token", actor));
                let subject = ("subject_token", &it.subject);
                std::iter::once(subject).chain(actor).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The account whose refresh token changes with each use.
    pub(crate) fn account(
        &self,
        kind: &'static str,
        id: &ProviderId,
        client_id: Option<&SecretRef>,
    ) -> Option<Account> {
        let Self::RefreshToken(Rotating { seed, account }) = self else {
            return None;
        };
        let name = account.as_deref().unwrap_or(id.name());
        let account = Account::new(kind, id.token_endpoint(), name);
        Some(account.client_id(client_id.cloned()).seed(seed.clone()))
    }

    /// Adds what the tokens depend on.
    pub(crate) fn identify(&self, mut id: ProviderId) -> ProviderId {
        if matches!(self, Self::ClientCredentials) {
            return id;
        }
        id = id.with("grant", self.name());
        for (key, token) in self.tokens() {
            id = token.identify(id, key);
        }
        match self {
            Self::TokenExchange(it) => {
                let actor = it.actor.as_ref().map(|(_, kind)| kind);
                let types = (&it.subject_type, actor, &it.requested_type);
                id.with("token_types", format!("{types:?}"))
            }
            Self::FixedRefreshToken(token) => {
                id.with("credential", REFRESH_TOKEN).credential(token)
            }
            Self::RefreshToken(rotating) => {
                let account = rotating.account.as_deref().unwrap_or(id.name()).to_owned();
                let id = id.with("account", account);
                rotating.seed.iter().fold(id, ProviderId::reading)
            }
            Self::Password { username, password } => {
                let id = id
                    .with("username", username.identity())
                    .identifier(username);
                id.with("credential", PASSWORD).credential(password)
            }
            _ => id,
        }
    }

    /// Reads the fields of a request.
    pub(crate) async fn read(&self, asking: &Asking<'_>) -> Result<GrantFields, Error> {
        let mut fields = GrantFields::default();
        for (name, token) in self.tokens() {
            fields
                .tokens
                .push((name, Presented::read(token, asking).await?));
        }
        match self {
            Self::TokenExchange(it) => {
                fields
                    .texts
                    .push(("subject_token_type", it.subject_type.clone()));
                let actor = it.actor.as_ref().map(|(_, kind)| kind.clone());
                fields
                    .texts
                    .extend(actor.map(|kind| ("actor_token_type", kind)));
                let requested = it.requested_type.clone();
                let requested = requested.map(|kind| ("requested_token_type", kind));
                fields.texts.extend(requested);
            }
            Self::FixedRefreshToken(_) | Self::RefreshToken(_) => {
                let token = match self {
                    Self::FixedRefreshToken(token) => asking.fetch.secret(token).await?,
                    _ => asking.fetch.refresh_token()?,
                };
                fields.secrets.push((REFRESH_TOKEN, token));
            }
            Self::Password { username, password } => {
                let name = asking.fetch.identifier(username).await?;
                fields.texts.push(("username", name));
                let password = asking.fetch.secret(password).await?;
                fields.secrets.push((PASSWORD, password));
            }
            Self::ClientCredentials | Self::JwtBearer(_) => {}
        }
        Ok(fields)
    }
}

impl GrantFields {
    /// The refresh token that is presented.
    pub(crate) fn refresh_token(&self) -> Option<&SecretString> {
        let found = self.secrets.iter().find(|(name, _)| *name == REFRESH_TOKEN);
        found.map(|(_, token)| token)
    }

    /// The tokens of other parties.
    pub(crate) fn presented(&self) -> Vec<&Presented> {
        self.tokens.iter().map(|(_, presented)| presented).collect()
    }
}

/// A type with its prefix.
fn whole_type(kind: String) -> String {
    match kind.contains(':') {
        true => kind,
        false => format!("{TOKEN_TYPE}{kind}"),
    }
}
