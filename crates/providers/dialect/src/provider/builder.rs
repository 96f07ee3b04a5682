//! [`VendorBuilder`]: checks the configured values against those that the dialect needs.

use std::{fmt, sync::Arc};

use biped_config::nearest;
use biped_core::{Error, IdentityRef, PlainHttp, ProviderId, SecretRef, redacted_url};
use biped_sources::ExternalToken;
use url::Url;

use super::{Given, KIND, Vendor};
use crate::{
    attach::Attach,
    dialect::{Dialect, Param},
    step::Step,
    template::{RESERVED, Template},
};

/// Builds a [`Vendor`]; see [`Vendor::builder`].
#[must_use]
pub struct VendorBuilder {
    dialect: Arc<Dialect>,
    name: Arc<str>,
    given: Given,
    is_example: bool,
}

/// A value that is missing or unused: its key, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lack {
    pub(crate) key: String,
    pub(crate) message: String,
}

impl Vendor {
    /// Returns a builder for a client of the vendor that `dialect` describes.
    pub fn builder(dialect: Arc<Dialect>) -> VendorBuilder {
        VendorBuilder {
            dialect,
            name: KIND.into(),
            given: Given::default(),
            is_example: false,
        }
    }
}

impl VendorBuilder {
    /// Sets the name for errors, logs and metrics. Default: `dialect`.
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the client identifier.
    pub fn client_id(mut self, client_id: SecretRef) -> Self {
        self.given.client_id = Some(client_id);
        self
    }

    /// Sets the client secret.
    pub fn client_secret(mut self, client_secret: SecretRef) -> Self {
        self.given.client_secret = Some(client_secret);
        self
    }

    /// Sets a parameter of the dialect.
    pub fn param(mut self, name: impl Into<Box<str>>, value: SecretRef) -> Self {
        self.given.params.push((name.into(), value));
        self
    }

    /// Sets a parameter of the dialect whose value another party makes. It may be in a token request only,
    /// and not in a URL.
    pub fn token_param(mut self, name: impl Into<Box<str>>, value: ExternalToken) -> Self {
        self.given.tokens.push((name.into(), value));
        self
    }

    /// Sets the client certificate (RFC 8705).
    pub fn certificate(mut self, identity: IdentityRef) -> Self {
        self.given.identity = Some(identity);
        self
    }

    /// Sets another URL for the token request, such as that of a proxy or of the sandbox. Default: the
    /// dialect's.
    pub fn token_endpoint(mut self, url: Url) -> Self {
        self.given.token_endpoint = Some(url);
        self
    }

    /// Sets the servers that are asked without TLS: a token endpoint that is
    /// [set](Self::token_endpoint), and the API. Default: none.
    pub fn with_plain_http(mut self, servers: PlainHttp) -> Self {
        self.given.plain_http = Some(servers);
        self
    }

    /// Makes every `{uuid}` the same.
    pub(crate) fn for_an_example(mut self) -> Self {
        self.is_example = true;
        self
    }

    /// Builds the provider.
    ///
    /// # Errors
    /// Returns a [`Configuration`](biped_core::ErrorKind::Configuration) error for a missing value, and
    /// for a parameter that no template uses.
    pub fn build(self) -> Result<Vendor, Error> {
        match self.lacks().into_iter().next() {
            Some(lack) => Err(Error::configuration(format!(
                "{}: {}",
                lack.key, lack.message
            ))),
            None => Ok(self.build_anyway()),
        }
    }

    pub(crate) fn lacks(&self) -> Vec<Lack> {
        let Self { dialect, given, .. } = self;
        let mut lacks = Vec::new();
        let mut lack = |key: &str, message: String| {
            lacks.push(Lack {
                key: key.to_owned(),
                message,
            });
        };
        let file = &dialect.name;
        if dialect.uses_client_id && given.client_id.is_none() {
            lack("client_id", format!("missing; {file} needs it"));
        }
        if dialect.uses_client_secret && given.client_secret.is_none() {
            lack("client_secret", format!("missing; {file} needs it"));
        }
        let needs_certificate = dialect.client_certificate;
        match (&given.identity, needs_certificate) {
            (None, true) => lack(
                "certificate",
                format!(
                    "missing; {file} has client_certificate = true; set certificate and certificate_key"
                ),
            ),
            (Some(_), false) => lack(
                "certificate",
                format!("{file} does not use a client certificate; remove certificate"),
            ),
            _ => {}
        }
        for param in dialect.params.iter().filter(|param| !param.optional) {
            let Param { name, line, .. } = param;
            if !given.names().any(|known| *known == **name) {
                lack(
                    &format!("params.{name}"),
                    format!("missing; set {name} in params, which {file}:{line} needs"),
                );
            }
        }
        for name in given.names() {
            if dialect.param(name).is_none() {
                let known = dialect.params.iter().map(|param| &*param.name);
                let meant = match nearest(name, known) {
                    Some(meant) => format!("; did you mean {meant}?"),
                    None if RESERVED.contains(&name) => "; set it as a key of the provider".into(),
                    None => String::new(),
                };
                lack(
                    &format!("params.{name}"),
                    format!("no template of {file} uses it{meant}"),
                );
            }
        }
        let attach = dialect.attach.iter().flat_map(Attach::templates);
        let elsewhere = attach.chain(dialect.hosts()).flat_map(Template::names);
        let elsewhere: Vec<_> = elsewhere.collect();
        for (name, _) in &given.tokens {
            let in_url = dialect.param(name).is_some_and(|param| param.in_url);
            if in_url || elsewhere.contains(&&**name) {
                let message = format!(
                    "{file} uses it in a URL or in API calls, where a token of another party can't be; \
                     expected a string or a reference"
                );
                lacks.push(Lack {
                    key: format!("params.{name}"),
                    message,
                });
            }
        }
        lacks
    }

    pub(crate) fn build_anyway(self) -> Vendor {
        let id = self.id();
        let attach_secrets = self.attach_secrets();
        let tokens = self.given.tokens.iter();
        let inputs = tokens.filter_map(|(_, token)| token.input().cloned());
        let inputs = inputs.collect();
        Vendor {
            id,
            dialect: self.dialect,
            given: self.given,
            attach_secrets,
            inputs,
            is_example: self.is_example,
        }
    }

    fn attach_secrets(&self) -> Vec<SecretRef> {
        let mut secrets: Vec<SecretRef> = Vec::new();
        let attach = self.dialect.attach.iter();
        for name in attach.flat_map(Attach::templates).flat_map(Template::names) {
            if let Some(secret) = self.given.secret(name)
                && !secrets.contains(secret)
            {
                secrets.push(secret.clone());
            }
        }
        secrets
    }

    /// The identity: issuer, client, credentials, and everything else that makes tokens differ. For
    /// each value that may be a secret it contains the reference only.
    fn id(&self) -> ProviderId {
        let Self { dialect, given, .. } = self;
        let client_id = given.client_id.as_ref().filter(|_| dialect.uses_client_id);
        let client = client_id.map(SecretRef::identity).unwrap_or_default();
        let mut id = ProviderId::new(KIND, self.endpoint(), client)
            .with_redacted("dialect", &dialect.digest);
        if let Some(client_id) = client_id {
            id = id.identifier(client_id);
        }
        let client_secret = given.client_secret.as_ref();
        if let Some(secret) = client_secret.filter(|_| dialect.uses_client_secret) {
            id = id.credential(secret);
        }
        let mut params: Vec<_> = given.params.iter().collect();
        params.sort_by_key(|(name, _)| name);
        for (name, value) in params {
            let Some(param) = dialect.param(name) else {
                continue;
            };
            id = if param.is_secret() {
                // The name matters: several secrets may be optional.
                id.with("secret param", name).credential(value)
            } else {
                id.with(name, value.identity()).identifier(value)
            };
        }
        for (name, token) in &given.tokens {
            id = token.identify(id, &format!("token param {name}"));
        }
        if dialect.client_certificate
            && let Some(IdentityRef { certificate, key }) = &given.identity
        {
            id = id.credential(certificate).credential(key);
        }
        id.named(self.name.clone())
    }

    /// The token endpoint for display: a value that may be a secret appears as its name.
    fn endpoint(&self) -> String {
        if let Some(url) = &self.given.token_endpoint {
            return redacted_url(url);
        }
        let Some(Step { url, is_token, .. }) = self.dialect.steps.first() else {
            return String::new();
        };
        if *is_token && url.is_fixed() && url.lead().is_empty() {
            return format!("local:{}", self.name);
        }
        let is_open = |name: &str| {
            name == "client_id"
                || self
                    .dialect
                    .param(name)
                    .is_some_and(|param| !param.is_secret())
        };
        let values: Vec<(&str, String)> = url
            .names()
            .filter(|name| is_open(name))
            .filter_map(|name| Some((name, self.given.secret(name)?.identity())))
            .collect();
        let known = |name: &str| {
            let value = values.iter().find(|(known, _)| *known == name);
            value.map(|(_, value)| value.as_str())
        };
        let text = url.outline(known);
        if url.names().all(is_open)
            && let Ok(parsed) = Url::parse(&text)
        {
            return redacted_url(&parsed);
        }
        text.split(['?', '#']).next().unwrap_or_default().to_owned()
    }
}

impl fmt::Debug for VendorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VendorBuilder")
            .field("name", &self.name)
            .field("dialect", &self.dialect)
            .finish_non_exhaustive()
    }
}
