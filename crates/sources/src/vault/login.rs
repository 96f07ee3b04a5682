//! A login with a JWT of another party, and how long it lasts.

use std::time::Duration;

use biped_core::{Error, ExposeSecret, FetchContext, SecretString, Timestamp, wire};
use serde_json::json;

use super::{
    server::{Server, failure, no_answer, send},
    settings::Login,
};
use crate::source::Asking;

/// What a login brought.
pub(super) struct Session {
    pub(super) token: SecretString,
    opened_at: Timestamp,
    /// When to log in again; `None` for a token that does not expire.
    lasts: Option<Duration>,
}

impl Session {
    pub(super) fn is_current(&self, now: Timestamp) -> bool {
        let is_over = |lasts: Duration| now >= self.opened_at.after(lasts);
        now >= self.opened_at && !self.lasts.is_some_and(is_over)
    }
}

/// Logs in.
pub(super) async fn open(
    server: &Server,
    login: &Login,
    cx: &FetchContext<'_>,
) -> Result<Session, Error> {
    let name = format!("the login of the role {}", login.role);
    let jwt = login.jwt.read(&Asking::new(cx)).await?.text;
    let body = json!({ "role": login.role, "jwt": jwt.expose_secret() }).to_string();
    let mount = ["auth"].into_iter().chain(login.mount.split('/'));
    let segments: Vec<_> = mount.chain(["login"]).collect();
    let request = server.request(&segments, Some(body.into()))?;
    let opened_at = cx.now();
    let response = send(request, &name, cx).await?;
    if !response.status().is_success() {
        return Err(failure(&name, &response, cx));
    }
    let answer =
        wire::json(&response).map_err(|_| no_answer(&name, "something that is not JSON"))?;
    let auth = &answer["auth"];
    let token = auth["client_token"]
        .as_str()
        .filter(|token| !token.is_empty())
        .ok_or_else(|| no_answer(&name, "no token"))?;
    let life = auth["lease_duration"].as_u64().filter(|life| *life > 0);
    Ok(Session {
        token: token.into(),
        opened_at,
        lasts: life.map(|life| Duration::from_secs(life).saturating_mul(4) / 5),
    })
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
