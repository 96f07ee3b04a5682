//! [`Selection`]: which of a provider's tokens is meant.

use biped::{ApiClient, Biped, Error, ParamValue, TokenSource};

/// Which of a provider's tokens is meant.
#[derive(Debug, clap::Args)]
pub(crate) struct Selection {
    /// The scopes to ask for instead of those configured, separated by spaces
    #[arg(long = "scope", value_name = "S")]
    scopes: Vec<String>,
    /// A parameter of the token request, such as project_id=42; may be given again, also for one
    /// that takes several values
    #[arg(long = "param", value_name = "K=V")]
    params: Vec<String>,
}

impl Selection {
    /// The source of the tokens meant.
    pub(crate) fn source(&self, biped: &Biped, name: &str) -> Result<TokenSource, Error> {
        let mut source = biped.token_source(name)?;
        if let Some(scope) = self.scope() {
            source = source.with_scopes(scope);
        }
        for (key, value) in self.params(biped, name)? {
            source = source.param(key, value);
        }
        Ok(source)
    }

    /// A client of the API that the tokens meant are for.
    pub(crate) fn client(&self, biped: &Biped, name: &str) -> Result<ApiClient, Error> {
        let mut client = biped.client(name)?;
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

    /// The parameters, of the types that the provider's kind wants. What is wrong with one is told
    /// without its value, which may be a secret.
    fn params(&self, biped: &Biped, name: &str) -> Result<Vec<(String, ParamValue)>, Error> {
        let provider = biped.provider(name)?;
        let mut all: Vec<(String, ParamValue)> = Vec::new();
        for param in &self.params {
            let (key, value) = param.split_once('=').ok_or_else(|| {
                Error::configuration("--param: K=V is expected, such as project_id=42")
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

/// What was given before, where there may be several, and this; else this in its place.
fn add(known: &mut ParamValue, value: ParamValue) {
    *known = match (&*known, value) {
        (ParamValue::List(before), ParamValue::List(after)) => {
            ParamValue::List(before.iter().chain(&after).cloned().collect())
        }
        (_, value) => value,
    };
}
