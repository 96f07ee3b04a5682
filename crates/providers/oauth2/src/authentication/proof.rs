//! [`ClientProof`]: what proves the client's identity, as one fetch read it.

use std::borrow::Cow;

use biped_core::{Error, ExposeSecret, FetchContext, SecretString};
use http::{HeaderMap, HeaderValue};
use oauth2::AuthType;

use super::assertion::{Assertion, CLIENT_ASSERTION, CLIENT_ASSERTION_TYPE};
use crate::presented::Presented;

/// What proves the client's identity. It is made once for a fetch, and written into each of the
/// fetch's requests; what was signed here is made for each request.
pub(crate) struct ClientProof {
    /// Empty if the client says who it is in another way.
    pub(crate) client_id: String,
    /// The secret that the `oauth2` crate writes, and where.
    pub(crate) secret: Option<(AuthType, SecretString)>,
    /// The `Authorization` header that replaces the crate's own.
    pub(crate) authorization: Option<HeaderValue>,
    pub(super) assertion: Option<Assertion>,
    /// The assertion of another party, after its whole type.
    pub(crate) presented: Option<(String, Presented)>,
    /// The headers that the configuration adds to each request.
    pub(crate) headers: HeaderMap,
    /// What to check if the server refuses the client.
    pub(crate) advice: Cow<'static, str>,
}

impl ClientProof {
    /// The identifier, without a proof yet.
    pub(crate) fn of(client_id: String) -> Self {
        Self {
            client_id,
            secret: None,
            authorization: None,
            assertion: None,
            presented: None,
            headers: HeaderMap::new(),
            advice: Cow::Borrowed("check client_id"),
        }
    }

    /// Returns the fields that the proof adds to a request. An assertion is signed anew each time, and
    /// no error shows it: whoever has it is the client for a while.
    pub(crate) async fn fields(
        &self,
        cx: &FetchContext<'_>,
    ) -> Result<Vec<(&'static str, String)>, Error> {
        if let Some((kind, presented)) = &self.presented {
            return Ok(vec![
                (CLIENT_ASSERTION_TYPE, kind.clone()),
                (CLIENT_ASSERTION, presented.text.expose_secret().to_owned()),
            ]);
        }
        let Some(assertion) = &self.assertion else {
            return Ok(Vec::new());
        };
        let fields = assertion.fields(&self.client_id, cx).await?;
        for (_, value) in fields.iter().filter(|(name, _)| *name == CLIENT_ASSERTION) {
            cx.conceal(value.as_str());
        }
        Ok(fields)
    }
}
