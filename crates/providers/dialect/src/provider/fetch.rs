//! One fetch: reads the secrets, sends the requests and reads the responses. No error shows a secret.

use biped_core::{
    BaseUrls, Error, ExposeSecret, FetchContext, SecretRef, SecretString, Token, TokenRequest,
    VendorError,
};
use biped_sources::Asking;
use url::Url;

use super::Vendor;
use crate::{
    answer::{AnswerContext, Gained, built_in_url},
    step::Step,
    template::{Template, Values},
};

impl Vendor {
    /// Sends the requests in order.
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
        let is_own_scope = request.scope_names().next().is_none();
        let mut gained = Gained::default();
        let mut first_url = None;
        for (at, step) in self.dialect.steps.iter().enumerate() {
            let scope = self.scope(step, request);
            let uuid = self.uuid();
            let token = gained.token().cloned();
            let exports = gained.exports.clone();
            let mut named: Vec<(&str, &str)> = Vec::new();
            named.extend(resolved.named());
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
            if step.is_token {
                let signed = SecretString::from(step.sign(&values)?);
                cx.conceal(signed.clone());
                gained.take_signed(&signed, cx.now());
                continue;
            }
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
            let context = AnswerContext {
                dialect: &self.dialect,
                url: &built.url,
                sent_at: cx.sent_at(),
                now: cx.now(),
                is_more_to_come: at + 1 < self.dialect.steps.len(),
                own_scope: scope.as_deref().filter(|_| is_own_scope),
                values: &values,
            };
            gained.take(&step.reads, &response, &context)?;
            self.conceal(&gained, cx);
        }
        for (name, value) in own {
            if self.is_kept(name) {
                gained.exports.insert(name.to_owned(), value.into());
            }
        }
        gained.build()
    }

    /// Checks a URL whose host depends on a response: it gets credentials only at the origin of the
    /// first request, or at one of `base_url_hosts`.
    pub(super) fn check_address(
        &self,
        step: &Step,
        url: &Url,
        first: &Url,
        values: &Values<'_>,
    ) -> Result<(), Error> {
        let answered = |name: &str| name == "token" || self.dialect.exports().any(|it| it == name);
        if url.origin() == first.origin() || !step.url.names().any(answered) {
            return Ok(());
        }
        // If two other values lead to the same origin, the origin does not depend on the response.
        let with = |said| {
            let stands = |(name, value)| (name, if answered(name) { said } else { value });
            let named: Vec<_> = values.named.iter().copied().map(stands).collect();
            let values = Values {
                token: Some(said),
                named: &named,
                ..*values
            };
            let text = step.url.render(&values)?.into_owned();
            Url::parse(&text).ok().map(|url| url.origin())
        };
        if [with("a"), with("b")]
            .iter()
            .all(|it| it.as_ref() == Some(&url.origin()))
        {
            return Ok(());
        }
        let origin = url.origin().ascii_serialization();
        self.dialect
            .base_urls(values, first)
            .read(&origin)
            .map(drop)
    }

    /// The base URLs that responses may name. Reads the values that the hosts depend on.
    pub(super) async fn named_base_urls(&self, cx: &FetchContext<'_>) -> Result<BaseUrls, Error> {
        let elsewhere = self.given.token_endpoint.as_ref();
        let address = self.dialect.steps.first().map(|step| &step.url);
        let address = address.filter(|_| elsewhere.is_none());
        let mut named: Vec<(&str, SecretString)> = Vec::new();
        for name in self
            .dialect
            .hosts()
            .chain(address)
            .flat_map(Template::names)
        {
            let is_known = named.iter().any(|(known, _)| *known == name);
            if let Some(given) = self.given.secret(name).filter(|_| !is_known) {
                named.push((name, self.read(name, given, cx).await?));
            }
        }
        let named: Vec<_> = named
            .iter()
            .map(|(name, value)| (*name, value.expose_secret()))
            .collect();
        let find = |name| named.iter().find(|(known, _)| *known == name);
        let values = Values {
            client_id: find("client_id").map(|(_, value)| *value),
            client_secret: find("client_secret").map(|(_, value)| *value),
            scope: None,
            url: None,
            token: None,
            uuid: "",
            now: cx.now(),
            named: &named,
        };
        let rendered = address
            .and_then(|url| url.render(&values))
            .and_then(|url| Url::parse(&url).ok());
        // A URL that depends on the request does not count as one of this machine.
        let somewhere = || built_in_url("https://vendor.invalid");
        let asked = elsewhere.cloned().or(rendered).map_or_else(somewhere, Ok)?;
        Ok(self.dialect.base_urls(&values, &asked))
    }

    /// Keeps the values of a response out of later errors. Values in URLs are shown: they tell what is
    /// wrong with a host.
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

    /// Reads the configured values that the dialect needs.
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
            let value = self.read(name, given, cx).await?;
            resolved.params.push(ResolvedParam { name, value });
        }
        for (name, token) in &self.given.tokens {
            let asking = Asking {
                audience: Some(self.id.token_endpoint()),
                ..Asking::new(cx)
            };
            let value = token.read(&asking).await?.text;
            resolved.params.push(ResolvedParam { name, value });
        }
        Ok(resolved)
    }

    /// Notes that the tokens of other parties were refused: another provider fetches a new one, and of a
    /// list of secrets the next is tried. A vendor says so as it says that it refuses the client, or as the
    /// standards do (RFC 7523 §3.1, RFC 8693 §2.2.2).
    pub(super) fn note_refusal(&self, error: &Error, cx: &FetchContext<'_>) {
        let codes = ["invalid_grant", "invalid_request"];
        let names = |vendor: &VendorError| codes.iter().any(|code| vendor.names(code));
        if !(error.refuses_client() || error.vendor().is_some_and(names)) {
            return;
        }
        for (_, token) in &self.given.tokens {
            match token.input() {
                Some(input) => cx.refuse_input(input),
                None => cx.try_next_secret(),
            }
        }
    }

    /// Reads the value of a name.
    async fn read(
        &self,
        name: &str,
        given: &SecretRef,
        cx: &FetchContext<'_>,
    ) -> Result<SecretString, Error> {
        let param = self.dialect.param(name);
        match name == "client_id" || param.is_some_and(|it| !it.is_secret()) {
            true => Ok(cx.identifier(given).await?.into()),
            false => cx.secret(given).await,
        }
    }

    /// The requested scopes, else those of the step, else those of the first step.
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

/// The configured values, as one fetch has read them.
pub(super) struct Resolved<'a> {
    pub(super) client_id: Option<SecretString>,
    pub(super) client_secret: Option<SecretString>,
    params: Vec<ResolvedParam<'a>>,
}

impl Resolved<'_> {
    /// The names and values of the parameters.
    pub(super) fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        let params = self.params.iter();
        params.map(|param| (param.name, param.value.expose_secret()))
    }
}

struct ResolvedParam<'a> {
    name: &'a str,
    value: SecretString,
}
