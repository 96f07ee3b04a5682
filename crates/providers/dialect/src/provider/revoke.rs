//! Ending a token at the vendor, by the request of `[revoke]`.

use biped_core::{Error, ExposeSecret, FetchContext, Token};
use url::Url;

use super::{Vendor, fetch::Resolved};
use crate::{step::Step, template::Values};

impl Vendor {
    /// Sends the request that ends a token. No error shows a secret.
    pub(super) async fn end(
        &self,
        step: &Step,
        token: &Token,
        resolved: &Resolved<'_>,
        cx: &FetchContext<'_>,
    ) -> Result<(), Error> {
        let uuid = self.uuid();
        let mut named: Vec<(&str, &str)> = resolved.named().collect();
        let kept = token.extras();
        named.extend(kept.filter_map(|(name, value)| Some((name, value.as_str()?))));
        let values = Values {
            client_id: resolved.client_id.as_ref().map(ExposeSecret::expose_secret),
            client_secret: resolved
                .client_secret
                .as_ref()
                .map(ExposeSecret::expose_secret),
            scope: token.scope(),
            url: None,
            token: Some(token.expose_secret()),
            uuid: &uuid,
            now: cx.now(),
            named: &named,
        };
        let built = step.build(&values, None)?;
        let first = match &self.given.token_endpoint {
            Some(elsewhere) => Some(elsewhere.clone()),
            None => {
                let first = self.dialect.steps.first();
                let url = first.and_then(|first| first.url.render(&values));
                url.and_then(|url| Url::parse(&url).ok())
            }
        };
        // Without a token request, the file alone decides where the token goes.
        if let Some(first) = &first {
            self.check_address(step, &built.url, first, &values)?;
        }
        let response = cx.send(built.request).await?;
        step.reads.check(&response, cx.now())
    }
}
