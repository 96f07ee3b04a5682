//! [`Document`]: an API's metadata (RFC 9728 §2), as it was received.

use biped_core::{Error, check_secure, wire};
use bytes::Bytes;
use serde_json::Value;
use url::Url;

use super::address::Api;

/// The largest metadata: 1 MiB.
const LARGEST: usize = 1024 * 1024;

/// An API's metadata.
#[derive(Debug)]
pub(super) struct Document {
    /// Where it is.
    pub(super) url: Url,
    pub(super) resource: String,
    /// The issuers that the API trusts, if it lists them.
    pub(super) servers: Option<Vec<String>>,
    /// The scopes to request if none is configured.
    pub(super) scopes: Vec<String>,
}

impl Document {
    /// Reads a response; `None` if it is something else, such as a login page.
    pub(super) fn of(response: &http::Response<Bytes>, url: &Url) -> Option<Self> {
        if !response.status().is_success() || response.body().len() > LARGEST {
            return None;
        }
        let document = wire::json(response).ok()?;
        let texts = |name: &str| -> Option<Vec<String>> {
            let value = document.get(name).filter(|value| !value.is_null())?;
            // A value that is not a list names nothing.
            let all = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let texts = all.iter().filter_map(Value::as_str);
            Some(texts.map(Into::into).collect())
        };
        let scopes = texts("scopes_supported").unwrap_or_default();
        Some(Self {
            url: url.clone(),
            resource: document["resource"].as_str()?.to_owned(),
            servers: texts("authorization_servers"),
            scopes: scopes.into_iter().filter(|it| is_scope(it)).collect(),
        })
    }

    /// Refuses the metadata of another API.
    pub(super) fn check_resource(&self, api: &Api) -> Result<(), Error> {
        if api.is_within(&self.resource) {
            return Ok(());
        }
        let (named, api) = (shown(&self.resource), api.text());
        Err(
            Error::configuration(format!("the API's metadata is for {named}, not for {api}"))
                .with_remedy("check api; no credential was sent"),
        )
    }
}

/// Whether a text is one scope (RFC 6749 §3.3).
pub(super) fn is_scope(text: &str) -> bool {
    let allows = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    !text.is_empty() && text.bytes().all(allows)
}

/// The error for an API that does not trust the configured issuer.
pub(super) fn trusts_others(servers: &[String], issuer: &str) -> Error {
    let named: Vec<_> = servers.iter().take(5).map(|it| shown(it)).collect();
    let named = match &named[..] {
        [] => "no authorization server".to_owned(),
        named => named.join(", "),
    };
    Error::configuration(format!(
        "the API trusts {named}; these credentials are for {issuer}"
    ))
    .with_remedy("check api and issuer; no credential was sent")
}

/// A URL that an API names, as it may be shown.
fn shown(text: &str) -> String {
    let is_shown = |url: &Url| url.query().is_none() && check_secure(url).is_ok();
    let url = Url::parse(text).ok().filter(is_shown);
    url.and_then(|_| wire::vendor_text(text))
        .unwrap_or_else(|| "another one".into())
}
