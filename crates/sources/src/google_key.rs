//! An assertion that is signed with the key file of a Google service account.

use std::time::Duration;

use biped_config::{ConfigTable, Field, FieldType};
use biped_core::{
    Error, ErrorKind, ExposeSecret, ProviderId, SecretRef, SecretString, async_trait,
};
use serde_json::{Map, Value, json};
use url::Url;

use crate::{
    key::{Algorithm, KeySource, SigningKey},
    platform, sign,
    source::{Asking, Found, Source},
};

pub(crate) const KEY: &str = "google_key";

/// Google's token endpoint, for the key files of service accounts.
pub const TOKEN_ENDPOINT: &str = "https://oauth2.googleapis.com/token";

/// How long an assertion is valid: as long as Google allows.
const LIFETIME: Duration = Duration::from_secs(3600);

pub(crate) struct GoogleKey {
    file: SecretRef,
    sub: Option<String>,
}

impl GoogleKey {
    /// Reads the table that names the file, and notes what is wrong with it.
    pub(crate) fn from_config(table: &ConfigTable) -> Option<Self> {
        let fields = [
            Field::new(KEY, FieldType::Secret),
            Field::new("sub", FieldType::Text),
        ];
        platform::check(table, &fields);
        Some(Self {
            file: table.secret(KEY)?,
            sub: table.string("sub"),
        })
    }
}

#[async_trait]
impl Source for GoogleKey {
    fn name(&self, candidate: usize) -> String {
        self.file.place(candidate)
    }

    fn identify(&self, id: ProviderId, key: &str) -> ProviderId {
        let id = id.with("credential", key).credential(&self.file);
        match &self.sub {
            Some(subject) => id.with(key, format!("{KEY} of {subject}")),
            None => id,
        }
    }

    fn signs(&self) -> bool {
        true
    }

    fn takes_scope(&self) -> bool {
        true
    }

    fn is_google_key(&self) -> bool {
        true
    }

    fn fault(&self, endpoint: Option<&Url>) -> Option<Error> {
        // A variable or a file is read, and no command is run.
        let text = SecretString::from(self.file.identity());
        let file: Value = serde_json::from_str(text.expose_secret()).ok()?;
        let fault = check(&file, &self.name(0), endpoint.map(Url::as_str)).err();
        // A file that lacks something may be about to be replaced.
        fault.filter(|fault| fault.kind() == ErrorKind::Configuration)
    }

    async fn read(&self, cx: &Asking<'_>) -> Result<Found, Error> {
        let text = cx.fetch.secret(&self.file).await?;
        let place = self.name(cx.fetch.candidate());
        let file: Value = serde_json::from_str(text.expose_secret()).map_err(|_| {
            Error::secret(format!("{KEY}: {place} does not contain JSON"))
                .with_remedy("set it to \"file:PATH\" of the key file")
                .transient(true)
        })?;
        let member = |name: &str| {
            let value = file[name].as_str();
            value.ok_or_else(|| Error::secret(format!("{place} does not contain {name}")))
        };
        let endpoint = cx.token_endpoint.map_or(TOKEN_ENDPOINT, Url::as_str);
        check(&file, &place, Some(endpoint))?;
        let pem = SecretString::from(member("private_key")?);
        cx.fetch.conceal(pem.clone());
        let kid = member("private_key_id")?;
        let key = SigningKey::read(
            &pem,
            KeySource {
                name: "private_key",
                password: None,
                kid: Some(kid),
            },
        )?;
        let mut claims = Map::new();
        claims.insert("iss".into(), member("client_email")?.into());
        claims.extend(
            self.sub
                .as_deref()
                .map(|subject| ("sub".into(), subject.into())),
        );
        claims.insert("aud".into(), endpoint.into());
        claims.extend(cx.wanted.scope.map(|scope| ("scope".into(), scope.into())));
        claims.extend(sign::times(cx.fetch.now(), LIFETIME));
        let header = json!({ "typ": "JWT", "kid": kid });
        let alg = Algorithm::choose(&key.algorithms(), None, None)?;
        let signed = key.jws(alg, header, &claims.into())?;
        Ok(SecretString::from(signed).into())
    }
}

/// Checks that this is the key file of a service account, for this token endpoint if it is known.
fn check(file: &Value, place: &str, endpoint: Option<&str>) -> Result<(), Error> {
    match file["type"].as_str() {
        Some("service_account") => {}
        Some("external_account") => {
            return Err(Error::configuration(format!(
                "{place} describes an external account, and holds no key"
            ))
            .with_remedy("use grant = \"token_exchange\" with a subject_token"));
        }
        Some(_) => {
            return Err(Error::configuration(format!(
                "{place} is not the key file of a service account"
            )));
        }
        None => return Err(Error::secret(format!("{place} does not contain type"))),
    }
    // The file must not choose whom the assertion is sent to.
    let named = file["token_uri"].as_str();
    match (named, endpoint) {
        (Some(named), Some(endpoint)) if named != endpoint => Err(Error::configuration(format!(
            "{place} names another token endpoint than the provider"
        ))
        .with_remedy("set token_endpoint to its token_uri if you trust that server")),
        _ => Ok(()),
    }
}
