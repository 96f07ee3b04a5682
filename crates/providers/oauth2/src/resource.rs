//! What an API says about itself (RFC 9728): found, checked and remembered.

mod address;
mod describe;
mod document;
mod search;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use biped_core::{Error, FetchContext, Timestamp};
use http::HeaderMap;
use url::Url;

pub(crate) use self::address::Api;
pub use self::describe::{ApiDescription, describe_api};
use self::{
    address::check_found_issuer,
    document::Document,
    search::{Challenge, Search, search},
};
use crate::metadata::METADATA_LIFETIME;

/// What a token for an API is requested with.
#[derive(Clone, Debug)]
pub(crate) struct ProtectedResource {
    /// What the API calls itself.
    pub(crate) resource: String,
    /// The authorization server to ask.
    pub(crate) issuer: String,
    /// The scopes to request if none is configured.
    pub(crate) scopes: Vec<String>,
    /// Where the API's metadata is. `None`: the API has none.
    pub(crate) url: Option<Url>,
    seen_at: Timestamp,
}

/// What was learned about an API.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    known: Option<Arc<ProtectedResource>>,
    /// Whether no challenge has named other metadata since.
    trusted: bool,
    /// A challenge to follow at the next fetch.
    challenge: Option<Challenge>,
    /// The address that was last followed, so that each is followed once.
    followed: Option<Url>,
}

impl Cache {
    /// Returns what is known about the API, or asks it. `issuer` is whom the credentials are for; if it
    /// is `None`, only their receiver can use them, and the API's word decides.
    pub(crate) async fn get(
        &self,
        api: &Api,
        issuer: Option<&str>,
        cx: &FetchContext<'_>,
    ) -> Result<Arc<ProtectedResource>, Error> {
        let (known, mut challenge) = {
            let state = &mut *self.lock();
            let now = cx.now();
            let is_current = |known: &&Arc<ProtectedResource>| {
                known.seen_at <= now && now < known.seen_at.after(METADATA_LIFETIME)
            };
            let current = state.known.as_ref().filter(is_current);
            if let Some(known) = current
                && state.trusted
            {
                return Ok(known.clone());
            }
            if current.is_none() && state.challenge.is_none() {
                // The search may find again what a challenge had replaced.
                state.followed = None;
            }
            (state.known.clone(), state.challenge.clone())
        };
        let named = challenge.as_ref().map(|challenge| challenge.url.clone());
        let searched = search(api, &mut challenge, cx).await;
        if challenge.is_none() {
            self.has_followed(named.as_ref());
        }
        let found = match searched? {
            Search::Found(document) => read(*document, api, issuer, cx.now())?,
            // What the API said earlier holds while it can't say it again.
            Search::Absent { error, scopes, .. } => match (known, issuer, error) {
                (Some(known), ..) if known.url.is_some() => return Ok(known),
                (_, _, Some(error)) => return Err(error),
                (_, Some(issuer), None) => without_metadata(api, issuer, scopes, cx.now()),
                (_, None, None) => return Err(names_nobody()),
            },
        };
        let found = Arc::new(found);
        let mut state = self.lock();
        state.known = Some(found.clone());
        state.trusted = state.challenge.is_none();
        Ok(found)
    }

    /// Returns what was last learned, however long ago.
    pub(crate) fn last_seen(&self) -> Option<Arc<ProtectedResource>> {
        self.lock().known.clone()
    }

    /// Notes a challenge of the API that names other metadata than is known: it is read at the next
    /// fetch.
    pub(crate) fn learn(&self, api: &Api, headers: &HeaderMap) {
        let Some(challenge) = Challenge::of(api, headers).filter(|_| !api.has_fixed_metadata())
        else {
            return;
        };
        let mut state = self.lock();
        let known = state.known.as_ref().and_then(|known| known.url.as_ref());
        let named = Some(&challenge.url);
        if known == named || state.followed.as_ref() == named {
            return;
        }
        state.followed = Some(challenge.url.clone());
        state.challenge = Some(challenge);
        state.trusted = false;
    }

    /// Notes that the metadata that a challenge named was looked at.
    fn has_followed(&self, named: Option<&Url>) {
        let pending = &mut self.lock().challenge;
        // Another may have come meanwhile.
        if pending.as_ref().map(|challenge| &challenge.url) == named {
            *pending = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks what the API says.
fn read(
    document: Document,
    api: &Api,
    issuer: Option<&str>,
    now: Timestamp,
) -> Result<ProtectedResource, Error> {
    document.check_resource(api)?;
    let Some(servers) = &document.servers else {
        // The list is optional, so this says no more than no metadata.
        return match issuer {
            Some(issuer) => Ok(without_metadata(api, issuer, document.scopes, now)),
            None => Err(names_nobody()),
        };
    };
    let issuer = match issuer {
        Some(issuer) if servers.iter().any(|server| server == issuer) => issuer.to_owned(),
        Some(issuer) => return Err(document::trusts_others(servers, issuer)),
        None => {
            let first = servers.first().ok_or_else(names_nobody)?;
            check_found_issuer(first, api)?;
            first.clone()
        }
    };
    Ok(ProtectedResource {
        resource: document.resource,
        issuer,
        scopes: document.scopes,
        url: Some(document.url),
        seen_at: now,
    })
}

fn without_metadata(
    api: &Api,
    issuer: &str,
    scopes: Vec<String>,
    now: Timestamp,
) -> ProtectedResource {
    ProtectedResource {
        resource: api.text().to_owned(),
        issuer: issuer.to_owned(),
        scopes,
        url: None,
        seen_at: now,
    }
}

fn names_nobody() -> Error {
    Error::configuration("the API names no authorization server (RFC 9728)")
        .with_remedy("set issuer to the server that the credentials are for")
}
