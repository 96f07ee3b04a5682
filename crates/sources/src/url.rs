//! The response of any endpoint.

use biped_config::{ConfigTable, Field, FieldType};
use biped_core::{
    Error, ExposeSecret, ProviderId, SecretRef, SecretString, async_trait, redacted_url, wire,
};
use http::HeaderName;
use url::Url;

use crate::{
    platform::{self, Request, no_token},
    source::{Asking, Found, Source},
};

pub(crate) const KEY: &str = "url";

pub(crate) struct OfUrl {
    name: String,
    url: Url,
    headers: Vec<(HeaderName, SecretRef)>,
    body: Option<SecretRef>,
    at: Option<String>,
}

impl OfUrl {
    /// Reads the table that names the URL, and notes what is wrong with it.
    pub(crate) fn from_config(table: &ConfigTable) -> Option<Self> {
        platform::check(
            table,
            &[
                Field::new(KEY, FieldType::Url),
                Field::new("headers", FieldType::Table),
                Field::new("body", FieldType::Secret),
                Field::new("at", FieldType::Text),
            ],
        );
        let mut headers = Vec::new();
        if let Some(given) = table.table("headers") {
            for (key, _) in given.entries() {
                let Ok(name) = key.parse::<HeaderName>() else {
                    drop(given.invalid(key, "expected the name of a header"));
                    continue;
                };
                headers.extend(given.secret(key).map(|value| (name, value)));
            }
        }
        let at = table.string("at").and_then(|at| {
            let is_pointer = |at: &String| at.is_empty() || at.starts_with('/');
            table.checked(
                "at",
                Some(at),
                "a JSON Pointer such as \"/token\"",
                is_pointer,
            )
        });
        let url = table.url(KEY)?;
        Some(Self {
            name: redacted_url(&url),
            url,
            headers,
            body: table.secret("body"),
            at,
        })
    }
}

#[async_trait]
impl Source for OfUrl {
    fn name(&self, _: usize) -> String {
        self.name.clone()
    }

    fn identify(&self, id: ProviderId, key: &str) -> ProviderId {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        // All under one key, so that of two of them each keeps its own.
        let whole = (self.url.as_str(), &self.at, headers, self.body.is_some());
        // A query may hold a secret.
        let id = id.with_redacted(key, format!("{KEY} {whole:?}"));
        let secrets = self.headers.iter().map(|(_, value)| value);
        secrets
            .chain(&self.body)
            .fold(id.with(key, &self.name), ProviderId::credential)
    }

    async fn read(&self, cx: &Asking<'_>) -> Result<Found, Error> {
        let mut request = Request::get(&self.name, self.url.clone());
        for (name, value) in &self.headers {
            let value = cx.fetch.secret(value).await?;
            request = request.secret_header(name.clone(), value.expose_secret(), name.as_str())?;
        }
        if let Some(body) = &self.body {
            let body = cx.fetch.secret(body).await?;
            request.body = Some(body.expose_secret().to_owned().into());
        }
        let response = request.send(cx.fetch).await?;
        let Some(at) = &self.at else {
            return Ok(platform::whole(&self.name, &response)?.into());
        };
        let answer = wire::json(&response)
            .map_err(|_| no_token(&self.name, "answered with something that is not JSON"))?;
        match answer.pointer(at).and_then(|value| value.as_str()) {
            Some(text) => Ok(SecretString::from(text).into()),
            None => Err(no_token(
                &self.name,
                &format!("answered without a text at {at}"),
            )),
        }
    }
}
