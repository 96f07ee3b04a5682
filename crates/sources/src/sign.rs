//! An assertion that is signed here.

use std::time::Duration;

use biped_config::{ConfigTable, ConfigValue, Field, FieldType, Value as Written};
use biped_core::{Error, ProviderId, SecretRef, SecretString, Timestamp, async_trait};
use serde_json::{Map, Value, json};

use crate::{
    key::{Algorithm, KeySource, fresh_id},
    key_ref::KeyRef,
    platform,
    source::{Asking, Found, Source},
};

const NAME: &str = "sign";

/// How long an assertion is valid if the configuration doesn't say.
const LIFETIME: Duration = Duration::from_secs(300);

/// How far the issue time is back-dated, for servers whose clocks are behind.
const CLOCK_SKEW: Duration = Duration::from_secs(5);

pub(crate) struct Sign {
    key: KeyRef,
    key_password: Option<SecretRef>,
    alg: Option<Algorithm>,
    kid: Option<String>,
    typ: Option<String>,
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<String>,
    lifetime: Duration,
    claims: Map<String, Value>,
}

impl Sign {
    /// Reads the table, and notes what is wrong with it.
    pub(crate) fn from_config(table: &ConfigTable) -> Option<Self> {
        platform::check(
            table,
            &[
                Field::new("key", FieldType::Key).required(),
                Field::new("key_password", FieldType::Secret),
                Field::new("alg", FieldType::Choice(Algorithm::NAMES)),
                Field::new("kid", FieldType::Text),
                Field::new("typ", FieldType::Text),
                Field::new("iss", FieldType::Text),
                Field::new("sub", FieldType::Text),
                Field::new("aud", FieldType::Text),
                Field::new("lifetime", FieldType::Duration),
                Field::new("claims", FieldType::Table),
            ],
        );
        let key = KeyRef::from_config(table, "key");
        if table.value("key").is_none() {
            drop(table.missing("key"));
        }
        let key_password = KeyRef::password_from_config(table, key.as_ref());
        let claims = table.table("claims").map(ConfigTable::into_values);
        let claims = claims.unwrap_or_default();
        Some(Self {
            key: key?,
            key_password,
            alg: table.string("alg").and_then(|alg| alg.parse().ok()),
            kid: table.string("kid"),
            typ: table.string("typ"),
            iss: table.string("iss"),
            sub: table.string("sub"),
            aud: table.string("aud"),
            lifetime: table.positive_duration("lifetime").unwrap_or(LIFETIME),
            claims: claims
                .iter()
                .map(|(name, value)| (name.clone(), to_json(value)))
                .collect(),
        })
    }

    fn audience<'a>(&'a self, cx: &Asking<'a>) -> Option<&'a str> {
        if cx.wanted.audience.is_some() {
            return cx.wanted.audience;
        }
        match self.aud.as_deref() {
            None | Some("issuer") => cx.audience,
            Some("token_endpoint") => cx.token_endpoint.map(url::Url::as_str),
            Some(other) => Some(other),
        }
    }
}

#[async_trait]
impl Source for Sign {
    fn name(&self, _: usize) -> String {
        NAME.into()
    }

    fn identify(&self, id: ProviderId, key: &str) -> ProviderId {
        let Self {
            alg,
            kid,
            typ,
            iss,
            sub,
            aud,
            claims,
            ..
        } = self;
        // Further claims are not ours to show.
        let parts = (alg, kid, typ, iss, sub, aud, Value::from(claims.clone()));
        let id = id.with_redacted(key, format!("{NAME} {parts:?}"));
        let id = match self.key.text() {
            Some(text) => id.with("credential", key).credential(text),
            None => self.key.identify(id, key),
        };
        match &self.key_password {
            Some(password) => id.credential(password),
            None => id,
        }
    }

    fn signs(&self) -> bool {
        true
    }

    fn lacks_audience(&self) -> bool {
        let is_named = |aud: &str| !["issuer", "token_endpoint"].contains(&aud);
        !self.aud.as_deref().is_some_and(is_named) && !self.claims.contains_key("aud")
    }

    fn lacks_issuer(&self) -> bool {
        self.iss.is_none() && !self.claims.contains_key("iss")
    }

    async fn read(&self, cx: &Asking<'_>) -> Result<Found, Error> {
        let password = match &self.key_password {
            Some(password) => Some(cx.fetch.secret(password).await?),
            None => None,
        };
        let source = KeySource {
            name: "key",
            password: password.as_ref(),
            kid: self.kid.as_deref(),
        };
        let key = self.key.read(source, cx.fetch).await?;
        let whom = |own: &Option<String>| own.as_deref().or(cx.client_id).map(str::to_owned);
        let missing = |what: &str| {
            Error::configuration(format!("the assertion has no {what}"))
                .with_remedy(format!("set {what} in sign"))
        };
        let mut claims = Map::new();
        let has = |name: &str| self.claims.contains_key(name);
        match whom(&self.iss) {
            Some(issuer) => drop(claims.insert("iss".into(), issuer.into())),
            None if !has("iss") => return Err(missing("iss")),
            None => {}
        }
        claims.extend(whom(&self.sub).map(|subject| ("sub".into(), subject.into())));
        match self.audience(cx) {
            Some(audience) => drop(claims.insert("aud".into(), audience.into())),
            None if !has("aud") => return Err(missing("aud")),
            None => {}
        }
        claims.extend(times(cx.fetch.now(), self.lifetime));
        claims.insert("jti".into(), fresh_id()?.into());
        claims.extend(self.claims.clone());
        let mut header = json!({ "typ": self.typ.as_deref().unwrap_or("JWT") });
        if let Some(kid) = self.kid.as_deref().or(key.kid()) {
            header["kid"] = kid.into();
        }
        let alg = Algorithm::choose(&key.algorithms(), self.alg, None)?;
        let signed = key.jws(alg, header, &claims.into(), cx.fetch).await?;
        Ok(SecretString::from(signed).into())
    }
}

/// `iat` and `exp`: a server that limits the time between the two gets no more than the lifetime.
pub(crate) fn times(now: Timestamp, lifetime: Duration) -> [(String, Value); 2] {
    let issued = now.before(CLOCK_SKEW);
    let expires = issued.after(lifetime);
    [
        ("iat".into(), issued.unix_seconds().into()),
        ("exp".into(), expires.unix_seconds().into()),
    ]
}

/// A value as it is in a claim.
fn to_json(value: &ConfigValue) -> Value {
    match &value.raw {
        Written::Text(text) | Written::Date(text) => text.as_str().into(),
        Written::Integer(number) => (*number).into(),
        Written::Float(number) => (*number).into(),
        Written::Bool(yes) => (*yes).into(),
        Written::List(all) => all.iter().map(to_json).collect(),
        Written::Table(table) => {
            let members = table.iter();
            Value::Object(
                members
                    .map(|(name, it)| (name.clone(), to_json(it)))
                    .collect(),
            )
        }
    }
}
