//! Tokens of Azure's managed identities: App Service and Container Apps, Arc, virtual machines.

mod arc;

use std::path::PathBuf;

use biped_config::{ConfigTable, Field, FieldType};
use biped_core::{
    Error, ExposeSecret, ProviderId, SecretRef, Timestamp, async_trait, is_loopback, is_on_host,
    wire,
};
use bytes::Bytes;
use http::HeaderName;
use serde_json::Value;
use url::Url;

use crate::{
    platform::{self, Request},
    source::{Asking, Found, Source},
};

const NAME: &str = "azure";
const FIXED: &str = "http://169.254.169.254";
const HOST: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
const ENDPOINT: &str = "IDENTITY_ENDPOINT";
const HEADER: &str = "IDENTITY_HEADER";
const IMDS: &str = "IMDS_ENDPOINT";
const THUMBPRINT: &str = "IDENTITY_SERVER_THUMBPRINT";

/// Where Arc's agent puts its keys.
const KEY_DIRECTORY: &str = "/var/opt/azcmagent/tokens";

/// What a token is for if it is an assertion (workload identity federation).
const EXCHANGE: &str = "api://AzureADTokenExchange";

pub(crate) struct Azure {
    resource: Option<String>,
    identity: Option<Identity>,
    endpoint: Option<Url>,
    key_directory: PathBuf,
}

/// Which of several identities is asked for.
#[derive(Debug)]
struct Identity {
    /// The name of the configuration's key, and of the member of an answer.
    key: &'static str,
    value: String,
}

impl Identity {
    /// The name of the query's parameter.
    fn parameter(&self, of_resource: &'static str) -> &'static str {
        match self.key {
            "resource_id" => of_resource,
            key => key,
        }
    }
}

/// The keys that choose an identity.
const IDENTITIES: [&str; 3] = ["client_id", "object_id", "resource_id"];

impl Azure {
    pub(crate) fn from_config(table: &ConfigTable) -> Self {
        platform::check(
            table,
            &[
                Field::new("resource", FieldType::Text),
                Field::new("client_id", FieldType::Text),
                Field::new("object_id", FieldType::Text),
                Field::new("resource_id", FieldType::Text),
                Field::new("endpoint", FieldType::Text),
                Field::new("key_directory", FieldType::Text),
            ],
        );
        let mut identities = IDENTITIES.iter().filter_map(|key| {
            let value = table.string(key)?;
            Some(Identity { key, value })
        });
        let identity = identities.next();
        if let Some(second) = identities.next() {
            let message = "expected only one of client_id, object_id, resource_id";
            drop(table.invalid(second.key, message));
        }
        Self {
            resource: table.string("resource"),
            identity,
            endpoint: platform::endpoint(table),
            key_directory: table
                .string("key_directory")
                .map_or_else(|| PathBuf::from(KEY_DIRECTORY), PathBuf::from),
        }
    }

    fn resource<'a>(&'a self, cx: &Asking<'a>) -> &'a str {
        let own = self.resource.as_deref();
        without_suffix(cx.wanted.resource.or(own).unwrap_or(EXCHANGE))
    }

    /// The request's URL: of an endpoint, with its version, the resource and the identity.
    fn url(&self, mut url: Url, version: &str, of_resource: &'static str, cx: &Asking<'_>) -> Url {
        let mut query = url.query_pairs_mut();
        query
            .append_pair("api-version", version)
            .append_pair("resource", self.resource(cx));
        if let Some(identity) = &self.identity {
            query.append_pair(identity.parameter(of_resource), &identity.value);
        }
        drop(query);
        url
    }

    async fn app_service(&self, endpoint: &str, cx: &Asking<'_>) -> Result<Answer, Error> {
        let endpoint = platform::address_of(ENDPOINT, endpoint, is_near)?;
        let url = self.url(endpoint, "2019-08-01", "mi_res_id", cx);
        let key = cx.fetch.secret(&SecretRef::env(HEADER)).await?;
        let name = HeaderName::from_static("x-identity-header");
        let request = Request::get(NAME, url).secret_header(name, key.expose_secret(), HEADER)?;
        request.send(cx.fetch).await
    }

    async fn virtual_machine(&self, cx: &Asking<'_>) -> Result<Answer, Error> {
        let endpoint = match (&self.endpoint, platform::variable(HOST)) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, Some(text)) => platform::address_of(HOST, &text, platform::is_fixed)?,
            (None, None) => {
                Url::parse(FIXED).map_err(|_| Error::internal("a fixed address is not a URL"))?
            }
        };
        let endpoint = platform::below(endpoint, ["metadata", "identity", "oauth2", "token"]);
        let url = self.url(endpoint, "2018-02-01", "msi_res_id", cx);
        let request = Request::get(NAME, url)
            .at_metadata_server()
            .header("metadata", "true");
        request.send(cx.fetch).await
    }
}

type Answer = http::Response<Bytes>;

/// Whether a service of App Service or Arc may be asked: on this machine or its host, or by https.
fn is_near(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url) || (is_on_host(url) && url.domain().is_none())
}

#[async_trait]
impl Source for Azure {
    fn name(&self, _: usize) -> String {
        NAME.into()
    }

    fn identify(&self, id: ProviderId, key: &str) -> ProviderId {
        let endpoint = self.endpoint.as_ref().map(Url::as_str);
        let parts = (&self.resource, &self.identity, endpoint);
        id.with(key, format!("{NAME} {parts:?}"))
    }

    fn audience(&self) -> Option<&str> {
        self.resource.as_deref().map(without_suffix)
    }

    fn token_type(&self) -> &'static str {
        "access_token"
    }

    async fn read(&self, cx: &Asking<'_>) -> Result<Found, Error> {
        if platform::variable(THUMBPRINT).is_some() {
            return Err(Error::secret("Service Fabric is not supported"));
        }
        let has = |name| platform::variable(name).is_some();
        let own = platform::variable(ENDPOINT).filter(|_| self.endpoint.is_none());
        let response = match own {
            Some(endpoint) if has(HEADER) => self.app_service(&endpoint, cx).await?,
            Some(endpoint) if has(IMDS) => self.arc(&endpoint, cx).await?,
            _ => self.virtual_machine(cx).await?,
        };
        let (text, answer) = platform::member(NAME, &response, "access_token")?;
        Ok(Found {
            text,
            expires_in: life(&answer, cx.fetch.sent_at()),
        })
    }
}

/// How long a token is valid: a number of seconds, or a point in time, each as a number or a string.
fn life(answer: &Value, sent_at: Timestamp) -> Option<std::time::Duration> {
    wire::seconds(&answer["expires_in"]).or_else(|| {
        let expiry = wire::integer(&answer["expires_on"])?;
        Some(Timestamp::from_unix_seconds(expiry).since(sent_at))
    })
}

/// A resource as it is asked for: the suffix is for scopes.
fn without_suffix(resource: &str) -> &str {
    resource.strip_suffix("/.default").unwrap_or(resource)
}
