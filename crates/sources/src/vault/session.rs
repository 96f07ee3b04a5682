//! [`Sessions`]: reading with a token, which a login may bring.

use biped_core::{Error, ExposeSecret, FetchContext, SecretString};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::sync::Mutex;

use super::{
    login::{self, Session},
    server::{Server, failure, send, words},
    settings::Auth,
};

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");

/// A request that needs the token.
pub(super) struct Asked<'a> {
    /// The path, after `/v1`.
    pub(super) segments: &'a [&'a str],
    /// Sent by POST if there is one.
    pub(super) body: Option<Bytes>,
    /// The reference, as errors call it.
    pub(super) name: &'a str,
    /// What is missing if the server doesn't find it.
    pub(super) missing: &'static str,
}

/// A server, and the session of this process.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) server: Server,
    /// Held while this process logs in, so that many fetches at once bring one login.
    session: Mutex<Option<Session>>,
}

impl Sessions {
    pub(super) fn new(server: Server) -> Self {
        Self {
            server,
            session: Mutex::default(),
        }
    }

    /// Sends a request with the token. The response has a success status.
    pub(super) async fn ask(
        &self,
        asked: &Asked<'_>,
        cx: &FetchContext<'_>,
    ) -> Result<http::Response<Bytes>, Error> {
        let name = asked.name;
        let request = |token: &SecretString| {
            let mut request = self.server.request(asked.segments, asked.body.clone())?;
            request.headers_mut().insert(TOKEN, header_of(token)?);
            Ok::<_, Error>(request)
        };
        let (token, is_old) = self.token(cx).await?;
        cx.conceal(token.clone());
        let mut response = send(request(&token)?, name, cx).await?;
        if response.status() == StatusCode::FORBIDDEN && is_old {
            // The session may have been revoked. A new one that is refused as well is the answer.
            self.forget(&token).await;
            let (token, _) = self.token(cx).await?;
            cx.conceal(token.clone());
            response = send(request(&token)?, name, cx).await?;
        }
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::NOT_FOUND => {
                let missing = asked.missing;
                Err(Error::secret(format!("there is no {missing} at {name}"))
                    .with_vendor(words(&response, cx)))
            }
            StatusCode::FORBIDDEN => {
                Err(Error::secret(format!("the vault denies access to {name}"))
                    .with_vendor(words(&response, cx))
                    .with_remedy("check the token or the role, and its policies"))
            }
            _ => Err(failure(name, &response, cx)),
        }
    }

    /// Returns the token, and whether it is of an earlier login.
    async fn token(&self, cx: &FetchContext<'_>) -> Result<(SecretString, bool), Error> {
        let login = match &self.server.settings.auth {
            Auth::Token(token) => return Ok((cx.secret(token).await?, false)),
            Auth::Login(login) => login,
        };
        let mut session = self.session.lock().await;
        if let Some(known) = session.as_ref().filter(|known| known.is_current(cx.now())) {
            return Ok((known.token.clone(), true));
        }
        let new = login::open(&self.server, login, cx).await?;
        let token = new.token.clone();
        *session = Some(new);
        Ok((token, false))
    }

    /// Drops a token that was refused, unless another login has replaced it.
    async fn forget(&self, token: &SecretString) {
        let mut session = self.session.lock().await;
        let is_same = |known: &Session| known.token.expose_secret() == token.expose_secret();
        if session.as_ref().is_some_and(is_same) {
            *session = None;
        }
    }
}

fn header_of(token: &SecretString) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(token.expose_secret()).map_err(|_| {
        Error::secret("the vault's token contains a character that a header can't hold")
    })?;
    value.set_sensitive(true);
    Ok(value)
}
