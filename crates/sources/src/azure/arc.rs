//! The agent of Azure Arc, which proves that a file can be read before it gives a token.

use std::path::{Path, PathBuf};

use biped_core::{Error, FILE_TIMEOUT, SecretString, read_file_async, wire};
use http::{StatusCode, header};

use super::{Answer, Azure, ENDPOINT, NAME, is_near};
use crate::{
    platform::{self, Request, no_token},
    source::Asking,
};

/// The largest key, in bytes.
const LARGEST_KEY: usize = 4096;

impl Azure {
    pub(super) async fn arc(&self, endpoint: &str, cx: &Asking<'_>) -> Result<Answer, Error> {
        let endpoint = platform::address_of(ENDPOINT, endpoint, is_near)?;
        let url = self.url(endpoint, "2020-06-01", "msi_res_id", cx);
        let ask = || Request::get(NAME, url.clone()).header("metadata", "true");
        let challenge = ask().send_for_any(cx.fetch).await?;
        if challenge.status() != StatusCode::UNAUTHORIZED {
            return Err(match challenge.status().is_success() {
                true => no_token(
                    NAME,
                    "responds without a challenge, so it is not Arc's agent",
                ),
                false => platform::failure(NAME, &challenge, false, cx.fetch),
            });
        }
        let key = self.key(&challenge, cx).await?;
        let basic = format!("Basic {}", biped_core::ExposeSecret::expose_secret(&key));
        let request =
            ask().secret_header(header::AUTHORIZATION, &basic, "the key of Arc's agent")?;
        let response = request.send(cx.fetch).await?;
        if let Some(identity) = &self.identity {
            let answer = wire::json(&response).unwrap_or_default();
            let named = answer[identity.key].as_str();
            if named.is_none_or(|named| !named.eq_ignore_ascii_case(&identity.value)) {
                let message = "Arc's agent does not name the identity that was asked for";
                return Err(Error::secret(message).with_remedy(
                    "remove client_id, object_id and resource_id: Arc has one identity",
                ));
            }
        }
        Ok(response)
    }

    /// Reads the key in the file that the agent names.
    async fn key(&self, challenge: &Answer, cx: &Asking<'_>) -> Result<SecretString, Error> {
        let realm = challenge.headers().get(header::WWW_AUTHENTICATE);
        let realm = realm.and_then(|value| value.to_str().ok());
        let file = realm.and_then(|text| text.trim().strip_prefix("Basic realm="));
        let file = file.map(|file| PathBuf::from(file.trim_matches('"')));
        let file = file.filter(|file| is_key(file, &self.key_directory));
        let Some(file) = file else {
            return Err(Error::secret(
                "Arc's agent names a key file that is not directly in key_directory",
            ));
        };
        let timeout = cx.fetch.clock().sleep(FILE_TIMEOUT);
        let content = read_file_async(&file, LARGEST_KEY, timeout).await;
        let content = content.map_err(|error| {
            let message = format!("the key of Arc's agent can't be read: {error}");
            Error::secret(message).transient(true)
        })?;
        let text = std::str::from_utf8(&content)
            .map_err(|_| Error::secret("the key of Arc's agent is not UTF-8"))?;
        let key = SecretString::from(text.trim());
        cx.fetch.conceal(key.clone());
        Ok(key)
    }
}

/// Whether a file ends in `.key` and lies directly in the directory.
fn is_key(file: &Path, directory: &Path) -> bool {
    let extension = file.extension();
    extension.is_some_and(|it| it == "key") && file.parent() == Some(directory)
}
