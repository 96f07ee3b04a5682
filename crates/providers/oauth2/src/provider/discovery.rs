//! What an [`OAuth2`] client learns about the API and the server before it asks for a token.

use std::sync::Arc;

use biped_core::{Error, FetchContext};

use super::OAuth2;
use crate::{metadata::Metadata, resource::ProtectedResource};

impl OAuth2 {
    /// Returns what the API says about itself, if its address is configured.
    pub(super) async fn resource(
        &self,
        cx: &FetchContext<'_>,
    ) -> Result<Option<Arc<ProtectedResource>>, Error> {
        let Some(api) = &self.api else {
            return Ok(None);
        };
        self.check_issuer()?;
        let issuer = self.issuer.as_deref();
        self.memory.resource.get(api, issuer, cx).await.map(Some)
    }

    /// Returns the server's metadata, and whether it is from an earlier fetch.
    pub(super) async fn metadata(
        &self,
        resource: Option<&ProtectedResource>,
        cx: &FetchContext<'_>,
    ) -> Result<(Arc<Metadata>, bool), Error> {
        let named = resource.map(|found| found.issuer.as_str());
        let issuer = self.issuer.as_deref().or(named).ok_or_else(|| {
            Error::configuration("neither token_endpoint nor issuer is set")
                .with_remedy("set one of them")
        })?;
        let mutual_tls = self.certificate.is_some();
        let (known, is_old) = self.memory.metadata.get(issuer, mutual_tls, cx).await?;
        if let Some(found) = resource {
            known.check_resource(&found.resource)?;
        }
        Ok((known, is_old))
    }

    /// Returns the metadata if there is an issuer.
    pub(super) async fn known_metadata(
        &self,
        cx: &FetchContext<'_>,
    ) -> Result<Option<Arc<Metadata>>, Error> {
        let resource = self.resource(cx).await?;
        if self.issuer.is_none() && resource.is_none() {
            return Ok(None);
        }
        let (known, _) = self.metadata(resource.as_deref(), cx).await?;
        Ok(Some(known))
    }

    /// Returns the issuer that assertions are for: the configured one, or the one whose metadata is used.
    pub(super) fn issuer_or<'a>(&'a self, metadata: Option<&'a Metadata>) -> Option<&'a str> {
        let used = metadata.map(|known| known.issuer.as_str());
        self.issuer.as_deref().or(used)
    }
}
