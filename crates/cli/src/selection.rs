//! [`Selection`]: which of a provider's tokens to use.

use biped::{ApiClient, Biped, Error, ParamValue, TokenSource};

/// Which of a provider's tokens to use.
#[derive(Debug, clap::Args)]
pub(crate) struct Selection {
    /// The scopes to request instead of the configured ones, separated by spaces; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// A parameter of the token request, such as project_id=42; may be repeated, also for a parameter
    /// with several values
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    #[command(flatten)]
    tenant: Tenant,
}

/// Whose tokens to use, of a provider that has tenants.
#[derive(Debug, clap::Args)]
pub(crate) struct Tenant {
    /// The tenant whose tokens to use, for a provider that has tenants
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
}

impl Tenant {
    pub(crate) fn is_named(&self) -> bool {
        self.tenant.is_some()
    }

    /// Returns why the provider, which has tenants, can't have this one.
    pub(crate) fn refusal(&self, source: &TokenSource) -> Option<Error> {
        let tenants = source.provider().tenants()?;
        let error = tenants
            .tenant(self.tenant.as_deref()?, source.request())
            .err()?;
        Some(error.with_provider(source.provider().id().name()))
    }

    /// Returns the source of the tenant's tokens, or this one if no tenant is named.
    pub(crate) fn of(&self, source: TokenSource) -> TokenSource {
        match &self.tenant {
            Some(name) => source.tenant(name),
            None => source,
        }
    }
}

impl Selection {
    pub(crate) fn has_scopes(&self) -> bool {
        !self.scopes.is_empty()
    }

    /// Returns why these options can't be used with a sidecar, which uses the configured tokens except where a
    /// call says otherwise.
    pub(crate) fn unserved(&self) -> Option<Error> {
        let (option, remedy) = if self.has_scopes() {
            let remedy =
                "set scope in a table [providers.OTHER] of its own, and name OTHER instead";
            ("--scope", remedy)
        } else if !self.params.is_empty() {
            let remedy =
                "set the parameter in a table [providers.OTHER] of its own, and name OTHER instead";
            ("--param", remedy)
        } else if self.tenant.is_named() {
            let remedy = "send Biped-Tenant: TENANT with each call, and set tenants = true in \
                          [serve.providers.NAME]";
            ("--tenant", remedy)
        } else {
            return None;
        };
        let error = format!("{option} can't be used with --serve");
        Some(Error::configuration(error).with_remedy(remedy))
    }

    /// Returns the source of the selected tokens for a provider among several, which may have no tenants.
    pub(crate) fn source_of_one(&self, biped: &Biped, name: &str) -> Result<TokenSource, Error> {
        let source = biped.token_source(name)?;
        let source = match has_tenants(&source) {
            true => self.tenant.of(source),
            false => source,
        };
        self.select(biped, name, source)
    }

    /// Returns the source of the selected tokens.
    pub(crate) fn source(&self, biped: &Biped, name: &str) -> Result<TokenSource, Error> {
        let source = self.tenant.of(biped.token_source(name)?);
        self.select(biped, name, source)
    }

    fn select(
        &self,
        biped: &Biped,
        name: &str,
        mut source: TokenSource,
    ) -> Result<TokenSource, Error> {
        if let Some(scope) = self.scope() {
            source = source.with_scopes(scope);
        }
        for (key, value) in self.params(biped, name)? {
            source = source.param(key, value);
        }
        Ok(source)
    }

    /// Returns a client of the API for the selected tokens.
    pub(crate) fn client(&self, biped: &Biped, name: &str) -> Result<ApiClient, Error> {
        let mut client = biped.client(name)?;
        if let Some(tenant) = &self.tenant.tenant {
            client = client.tenant(tenant);
        }
        if let Some(scope) = self.scope() {
            client = client.with_scopes(scope);
        }
        for (key, value) in self.params(biped, name)? {
            client = client.param(key, value);
        }
        Ok(client)
    }

    fn scope(&self) -> Option<String> {
        (!self.scopes.is_empty()).then(|| self.scopes.join(" "))
    }

    /// Returns the parameters, with the types that the provider's kind expects. An error never shows a
    /// value, because it may be a secret.
    fn params(&self, biped: &Biped, name: &str) -> Result<Vec<(String, ParamValue)>, Error> {
        let provider = biped.provider(name)?;
        let mut all: Vec<(String, ParamValue)> = Vec::new();
        for param in &self.params {
            let named = param.split_once('=').filter(|(key, _)| !key.is_empty());
            let (key, value) = named.ok_or_else(|| {
                Error::configuration("--param: expected NAME=VALUE, such as project_id=42")
            })?;
            let value = provider.param(key, value)?;
            match all.iter_mut().find(|(known, _)| known == key) {
                Some((_, known)) => add(known, value),
                None => all.push((key.to_owned(), value)),
            }
        }
        Ok(all)
    }
}

/// Whether the provider of these tokens has tenants.
pub(crate) fn has_tenants(source: &TokenSource) -> bool {
    source.provider().tenants().is_some()
}

/// Appends to a list, and replaces any other value.
fn add(known: &mut ParamValue, value: ParamValue) {
    *known = match (&*known, value) {
        (ParamValue::List(before), ParamValue::List(after)) => {
            ParamValue::List(before.iter().chain(&after).cloned().collect())
        }
        (_, value) => value,
    };
}
