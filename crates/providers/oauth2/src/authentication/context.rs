//! What methods read: [`MethodConfig`] when the configuration is read, [`ProofContext`] in each fetch.

use std::str::FromStr;

use biped_config::ProviderConfig;
use biped_core::{FetchContext, SecretRef};
use url::Url;

use super::options::ProofOptions;
use crate::metadata::Metadata;

/// The configuration that a method reads.
pub(super) struct MethodConfig<'a> {
    pub(super) config: &'a ProviderConfig,
    /// The name of the method that the configuration chooses, if it chooses one.
    pub(super) chosen: Option<&'static str>,
}

impl MethodConfig<'_> {
    /// Reads the client secret, alone or out of the pairs of `credentials`.
    pub(super) fn client_secret(&self) -> Option<SecretRef> {
        if self.config.value("credentials").is_some() {
            return self.config.credentials().ok().map(|(_, secret)| secret);
        }
        self.config.secret("client_secret")
    }

    /// Reads a choice, which has been checked by its field already.
    pub(super) fn parsed<T: FromStr>(&self, key: &str) -> Option<T> {
        self.config.string(key)?.parse().ok()
    }
}

/// What a method needs to make its proof: the fetch, for secrets and the time, the options, and what is
/// known about the server.
pub(crate) struct ProofContext<'a> {
    pub(crate) fetch: &'a FetchContext<'a>,
    pub(crate) options: &'a ProofOptions,
    pub(crate) issuer: Option<&'a str>,
    pub(crate) token_endpoint: &'a Url,
    /// The endpoint that the request goes to.
    pub(crate) endpoint: &'a Url,
    pub(crate) metadata: Option<&'a Metadata>,
}
