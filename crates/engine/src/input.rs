//! [`Lent`]: a token of another provider that a fetch needs. [`Lenders`]: how it is got.

use std::sync::Arc;

use biped_core::{Error, Input, SecretString, async_trait};

/// How the tokens of other providers are got.
#[async_trait]
pub(crate) trait Lenders: Send + Sync {
    /// The token of another provider, through its own cache, store and flight. A `replacement` is
    /// another than one that was rejected.
    async fn lend(&self, input: &Input, replacement: bool) -> Result<Lent, Error>;
}

/// No provider has a name.
pub(crate) struct NoLenders;

#[async_trait]
impl Lenders for NoLenders {
    async fn lend(&self, input: &Input, _: bool) -> Result<Lent, Error> {
        Err(unknown(input))
    }
}

/// The error for an input that no provider gives.
pub(crate) fn unknown(input: &Input) -> Error {
    let name = input.provider();
    Error::configuration(format!("there is no provider named {name}"))
        .with_remedy("configure it, or name it with TokenManagerBuilder::named_provider")
}

/// A token of another provider, as one attempt uses it.
#[derive(Clone)]
pub(crate) struct Lent {
    pub(crate) input: Input,
    pub(crate) text: SecretString,
    pub(crate) lender: Arc<dyn Lender>,
}

/// The key that a token is from.
pub(crate) trait Lender: Send + Sync {
    /// Rejects the token. Returns whether another may be had.
    fn reject(&self) -> bool;

    /// Whether the key has another token by now. A token that serves again after a rejection may be
    /// numbered after its replacement, so newer ones are not told by their number.
    fn has_another(&self) -> bool;
}

/// The error of another provider, as the error of the provider `own` that needs its token.
pub(crate) fn error_of(error: Error, input: &Input, own: &str) -> Error {
    let other = input.provider();
    let is_chain = error
        .token_source()
        .is_some_and(|source| source.starts_with("provider:"));
    let message = match is_chain {
        true => format!("{own} → {}", error.message()),
        false => format!("{own} → {other}: {}", error.message()),
    };
    error
        .with_message_beside_vendor(message)
        .refusing_client(false)
        .with_token_source(format!("provider:{other}"))
        .with_provider(own)
}
