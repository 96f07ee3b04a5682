//! [`Named`]: the providers of a manager by their names, which lend each other tokens.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use biped_core::{Error, ExposeSecret, Input, Provider, SecretString, async_trait};

use crate::{
    engine::Engine,
    input::{Lender, Lenders, Lent, unknown},
    key::{cached::CachedToken, state::Rejection, table::Key},
    source::TokenSource,
};

/// How much of its life a token must have left to be lent.
const LIFE_LEFT: Duration = Duration::from_secs(60);

/// The providers of a manager, by the names that an application uses.
pub(crate) struct Named {
    pub(crate) engine: Weak<Engine>,
    pub(crate) providers: BTreeMap<Arc<str>, Arc<dyn Provider>>,
}

#[async_trait]
impl Lenders for Named {
    async fn lend(&self, input: &Input, replacement: bool) -> Result<Lent, Error> {
        let provider = self.providers.get(input.provider());
        let provider = provider.ok_or_else(|| unknown(input))?.clone();
        let engine = self.engine.upgrade();
        let engine = engine.ok_or_else(|| Error::internal("the token manager has ended"))?;
        let key = engine.key(&provider, input.request().clone());
        let source = TokenSource::new(engine, key.clone(), provider.clone());
        let token = source.to_lend(LIFE_LEFT, replacement).await?.into_owned();
        // One that is bound to a certificate says who was issued it, and may be presented (RFC 8693 §1.1).
        if token.confirmation().is_some() && token.scheme() != "Bearer" {
            let error = Error::configuration("the token is bound to a key, and can't be presented");
            let provider = input.provider();
            return Err(error.with_remedy(format!("set dpop = false for {provider}")));
        }
        let text = match input.field() {
            None => SecretString::from(token.expose_secret()),
            Some(field) => token
                .extra(field)
                .and_then(|value| value.as_str())
                .ok_or_else(|| {
                    Error::invalid_response(format!("the response has no text in {field}"))
                })?
                .into(),
        };
        Ok(Lent {
            input: input.clone(),
            text,
            lender: Arc::new(Lending {
                engine: self.engine.clone(),
                key,
                provider,
                token,
            }),
        })
    }
}

/// A token that is lent, and where it is from. It keeps no engine alive: a refusal holds it, which the
/// engine holds.
struct Lending {
    engine: Weak<Engine>,
    key: Arc<Key>,
    provider: Arc<dyn Provider>,
    token: Arc<CachedToken>,
}

impl Lender for Lending {
    fn reject(&self) -> bool {
        let Some(engine) = self.engine.upgrade() else {
            return false;
        };
        let source = TokenSource::new(engine, self.key.clone(), self.provider.clone());
        source.reject(&self.token) != Rejection::CoolingDown
    }

    fn has_another(&self) -> bool {
        let current = self.key.slot.load_full();
        current.is_some_and(|current| current.generation() != self.token.generation())
    }
}

#[cfg(test)]
mod tests;
