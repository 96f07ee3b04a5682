//! [`Selection`]: which of a provider's tokens is meant.

use biped::{ApiClient, Biped, Error, ParamValue, TokenSource};

/// Which of a provider's tokens is meant.
#[derive(Debug, clap::Args)]
pub(crate) struct Selection {
    /// The scopes to ask for instead of those configured, separated by spaces
    #[arg(long = "scope", value_name = "S")]
    scopes: Vec<String>,
    /// A parameter of the token request, such as project_id=42; may be given again
    #[arg(long = "param", value_name = "K=V")]
    params: Vec<String>,
}

impl Selection {
    /// The source of the tokens meant.
    pub(crate) fn source(&self, biped: &Biped, name: &str) -> Result<TokenSource, Error> {
        let mut source = biped.token_source(name)?;
        if let Some(scope) = self.scope() {
            source = source.scope(scope);
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
            client = client.scope(scope);
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
        let typed = self.params.iter().map(|param| {
            let (key, value) = param.split_once('=').ok_or_else(|| {
                Error::configuration("--param: K=V is expected, such as project_id=42")
            })?;
            Ok((key.to_owned(), provider.param(key, value)?))
        });
        typed.collect()
    }
}
