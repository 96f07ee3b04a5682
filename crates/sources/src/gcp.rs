//! Tokens of Google's metadata server: an identity token, or an access token.

use biped_config::{ConfigTable, Field, FieldType};
use biped_core::{Error, ProviderId, async_trait, wire};
use url::Url;

use crate::{
    platform::{self, Request, no_token},
    source::{Asking, Found, Source},
};

const NAME: &str = "gcp";
const FIXED: &str = "http://metadata.google.internal";
const HOST: &str = "GCE_METADATA_HOST";
const FLAVOR: &str = "metadata-flavor";
const GOOGLE: &str = "Google";

pub(crate) struct Gcp {
    audience: Option<String>,
    account: String,
    access: bool,
    endpoint: Option<Url>,
}

impl Gcp {
    pub(crate) fn from_config(table: &ConfigTable) -> Self {
        platform::check(
            table,
            &[
                platform::AUDIENCE,
                Field::new("account", FieldType::Text),
                Field::new("access", FieldType::Bool),
                Field::new("endpoint", FieldType::Text),
            ],
        );
        let access = table.boolean("access").unwrap_or_default();
        let audience = table.string("audience");
        if access && audience.is_some() {
            drop(table.invalid(
                "audience",
                "an access token has no audience; remove one of the two",
            ));
        }
        Self {
            audience,
            account: table.string("account").unwrap_or_else(|| "default".into()),
            access,
            endpoint: platform::endpoint(table),
        }
    }

    fn endpoint(&self) -> Result<Url, Error> {
        if let Some(endpoint) = &self.endpoint {
            return Ok(endpoint.clone());
        }
        match platform::variable(HOST) {
            Some(host) => platform::address_of(HOST, &format!("http://{host}"), platform::is_fixed),
            None => Url::parse(FIXED).map_err(|_| Error::internal("a fixed address is not a URL")),
        }
    }
}

#[async_trait]
impl Source for Gcp {
    fn name(&self, _: usize) -> String {
        NAME.into()
    }

    fn identify(&self, id: ProviderId, key: &str) -> ProviderId {
        let Self {
            audience,
            account,
            access,
            endpoint,
        } = self;
        let endpoint = endpoint.as_ref().map(Url::as_str);
        id.with(
            key,
            format!("{NAME} {:?}", (audience, account, access, endpoint)),
        )
    }

    fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    fn lacks_audience(&self) -> bool {
        !self.access && self.audience.is_none()
    }

    fn token_type(&self) -> &'static str {
        if self.access { "access_token" } else { "jwt" }
    }

    async fn read(&self, cx: &Asking<'_>) -> Result<Found, Error> {
        let last = if self.access { "token" } else { "identity" };
        let account = ["instance", "service-accounts", &self.account, last];
        let base = platform::below(self.endpoint()?, ["computeMetadata", "v1"]);
        let mut url = platform::below(base, account);
        if self.access {
            if let Some(scope) = cx.wanted.scope {
                url.query_pairs_mut()
                    .append_pair("scopes", &scope.replace(' ', ","));
            }
        } else {
            let audience = cx.audience_or(self.audience.as_deref()).ok_or_else(|| {
                Error::configuration("gcp needs an audience").with_remedy("set audience")
            })?;
            url.query_pairs_mut()
                .append_pair("audience", audience)
                .append_pair("format", "full");
        }
        let request = Request::get(NAME, url)
            .at_metadata_server()
            .header(FLAVOR, GOOGLE);
        let response = request.send(cx.fetch).await?;
        let flavor = response.headers().get(FLAVOR);
        if flavor.is_none_or(|flavor| flavor != GOOGLE) {
            return Err(no_token(NAME, "answered without Metadata-Flavor: Google"));
        }
        if !self.access {
            return Ok(platform::whole(NAME, &response)?.into());
        }
        let (text, answer) = platform::member(NAME, &response, "access_token")?;
        Ok(Found {
            text,
            expires_in: wire::seconds(&answer["expires_in"]),
        })
    }
}
