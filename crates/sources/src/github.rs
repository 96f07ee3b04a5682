//! The token of a job of GitHub Actions or Forgejo Actions.

use biped_config::ConfigTable;
use biped_core::{Error, ExposeSecret, ProviderId, SecretRef, async_trait, check_secure};
use http::header::AUTHORIZATION;

use crate::{
    platform::{self, Request},
    source::{Asking, Found, Source},
};

const NAME: &str = "github";
const URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

pub(crate) struct GitHub {
    audience: Option<String>,
}

impl GitHub {
    pub(crate) fn from_config(table: &ConfigTable) -> Self {
        platform::check(table, &[platform::AUDIENCE]);
        Self {
            audience: table.string("audience"),
        }
    }
}

#[async_trait]
impl Source for GitHub {
    fn name(&self, _: usize) -> String {
        NAME.into()
    }

    fn identify(&self, id: ProviderId, key: &str) -> ProviderId {
        let audience = self.audience.as_deref().unwrap_or_default();
        id.with(key, format!("{NAME} {audience}"))
    }

    fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    async fn read(&self, cx: &Asking<'_>) -> Result<Found, Error> {
        let missing = |name: &str| {
            Error::secret(format!("the environment variable {name} is not set"))
                .with_remedy("give the job the permission id-token: write")
        };
        let text = platform::variable(URL).ok_or_else(|| missing(URL))?;
        if platform::variable(TOKEN).is_none() {
            return Err(missing(TOKEN));
        }
        let token = cx.fetch.secret(&SecretRef::env(TOKEN)).await?;
        let mut url = platform::address_of(URL, &text, |url| check_secure(url).is_ok())?;
        if let Some(audience) = cx.audience_or(self.audience.as_deref()) {
            url.query_pairs_mut().append_pair("audience", audience);
        }
        let bearer = format!("bearer {}", token.expose_secret());
        let request = Request::get(NAME, url).secret_header(AUTHORIZATION, &bearer, TOKEN)?;
        let response = request.send(cx.fetch).await?;
        let (text, _) = platform::member(NAME, &response, "value")?;
        Ok(text.into())
    }
}
