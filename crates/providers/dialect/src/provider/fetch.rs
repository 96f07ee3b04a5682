//! One fetch: secrets read, requests sent, answers taken in, and nothing of it in an error.

use biped_core::{Error, ExposeSecret, FetchContext, SecretString, Token, TokenRequest, wire};
use url::Url;

use super::Vendor;
use crate::{
    answer::{Asked, Gained},
    dialect::Step,
    template::Values,
};

impl Vendor {
    /// Sends the requests, one after the other.
    pub(super) async fn exchange(
        &self,
        request: &TokenRequest,
        resolved: &Resolved<'_>,
        cx: &FetchContext<'_>,
    ) -> Result<Token, Error> {
        let own: Vec<(&str, String)> = request
            .params()
            .map(|(name, value)| (name, value.to_string()))
            .collect();
        let mut gained = Gained::default();
        let mut first_url = None;
        for (at, step) in self.dialect.steps.iter().enumerate() {
            let scope = self.scope(step, request);
            let uuid = self.uuid();
            let token = gained.token().cloned();
            let exports = gained.exports.clone();
            let mut named: Vec<(&str, &str)> = Vec::new();
            named.extend(
                resolved
                    .params
                    .iter()
                    .map(|param| (param.name, param.value.expose_secret())),
            );
            named.extend(own.iter().map(|(name, value)| (*name, value.as_str())));
            named.extend(
                exports
                    .iter()
                    .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))),
            );
            let values = Values {
                client_id: resolved.client_id.as_ref().map(ExposeSecret::expose_secret),
                client_secret: resolved
                    .client_secret
                    .as_ref()
                    .map(ExposeSecret::expose_secret),
                scope: scope.as_deref(),
                url: None,
                token: token.as_ref().map(ExposeSecret::expose_secret),
                uuid: &uuid,
                now: cx.now(),
                named: &named,
            };
            let elsewhere = self.given.token_endpoint.as_ref().filter(|_| at == 0);
            let built = step.build(&values, elsewhere.map(Url::as_str))?;
            match &first_url {
                None => first_url = Some(built.url.clone()),
                Some(first) => self.check_address(step, &built.url, first, &values)?,
            }
            if let Some(assertion) = built.assertion {
                cx.conceal(assertion);
            }
            let response = cx.send(built.request).await?;
            let asked = Asked {
                url: Some(&built.url),
                sent_at: cx.sent_at(),
                now: cx.now(),
                is_more_to_come: at + 1 < self.dialect.steps.len(),
                values: &values,
            };
            gained.take(&step.reads, &response, &asked)?;
            self.conceal(&gained, cx);
        }
        for (name, value) in own {
            if self.is_attached(name) {
                gained.exports.insert(name.to_owned(), value.into());
            }
        }
        gained.build()
    }

    /// An address that an answer named gets credentials only where it is the vendor's own: the
    /// origin of the first request, or one of `base_url_hosts`.
    fn check_address(
        &self,
        step: &Step,
        url: &Url,
        first: &Url,
        values: &Values<'_>,
    ) -> Result<(), Error> {
        let steps = &self.dialect.steps;
        let is_named = |name: &str| {
            let exports = steps.iter().flat_map(|step| &step.reads.export);
            exports.into_iter().any(|(known, _)| **known == *name)
        };
        if url.origin() == first.origin() || !step.url.names().any(is_named) {
            return Ok(());
        }
        let hosts: Vec<_> = steps
            .iter()
            .flat_map(|step| step.reads.hosts(values))
            .collect();
        let origin = url.origin().ascii_serialization();
        wire::base_url(&origin, &hosts, first).map(|_| ())
    }

    /// Keeps what an answer gave for later requests out of errors; but for hosts, which say what is
    /// wrong with them.
    fn conceal(&self, gained: &Gained, cx: &FetchContext<'_>) {
        if let Some(token) = gained.token() {
            cx.conceal(token.clone());
        }
        let steps = &self.dialect.steps;
        let in_address = |name: &str| {
            steps
                .iter()
                .any(|step| step.url.names().any(|it| it == name))
        };
        for (name, value) in &gained.exports {
            if let Some(text) = value.as_str().filter(|_| !in_address(name)) {
                cx.conceal(text);
            }
        }
    }

    /// Reads what the dialect needs of the configuration.
    pub(super) async fn resolve(&self, cx: &FetchContext<'_>) -> Result<Resolved<'_>, Error> {
        let mut resolved = Resolved {
            client_id: None,
            client_secret: None,
            params: Vec::with_capacity(self.given.params.len()),
        };
        if let Some(secret) = self
            .given
            .client_id
            .as_ref()
            .filter(|_| self.dialect.uses_client_id)
        {
            resolved.client_id = Some(cx.identifier(secret).await?.into());
        }
        let client_secret = self.given.client_secret.as_ref();
        if let Some(secret) = client_secret.filter(|_| self.dialect.uses_client_secret) {
            resolved.client_secret = Some(cx.secret(secret).await?);
        }
        for (name, given) in &self.given.params {
            let is_open = self.dialect.param(name).is_some_and(|it| !it.is_secret());
            let value = match is_open {
                true => cx.identifier(given).await?.into(),
                false => cx.secret(given).await?,
            };
            resolved.params.push(ResolvedParam { name, value });
        }
        Ok(resolved)
    }

    /// The scopes asked for, else those of the step, else those of the token request.
    fn scope(&self, step: &Step, request: &TokenRequest) -> Option<String> {
        let separator = &step.scope_separator;
        let usual = || {
            let of_first = self.dialect.steps.first().map(|first| &first.scopes);
            let scopes = match &step.scopes {
                own if !own.is_empty() => own,
                _ => of_first?,
            };
            (!scopes.is_empty()).then(|| scopes.join(separator))
        };
        request.joined_scopes(separator).or_else(usual)
    }
}

/// What a fetch read of the configured secrets.
pub(super) struct Resolved<'a> {
    client_id: Option<SecretString>,
    client_secret: Option<SecretString>,
    params: Vec<ResolvedParam<'a>>,
}

struct ResolvedParam<'a> {
    name: &'a str,
    value: SecretString,
}
