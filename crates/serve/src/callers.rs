//! [`Callers`]: who may call, and how they prove it.

mod token;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use biped::provider::{Clock, SecretRef, SystemClock};
use futures_util::future::join_all;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, PROXY_AUTHORIZATION, WWW_AUTHENTICATE},
};

use self::token::{CallerToken, hash};
use crate::{config::CallerSettings, peer::Peer, problem::Problem};

const BIPED_CALLER: HeaderName = HeaderName::from_static("biped-caller");

/// How many keys of a caller are remembered.
const REMEMBERED: usize = 100_000;

/// The configured callers.
#[derive(Debug, Default)]
pub(crate) struct Callers(Vec<Arc<Caller>>);

/// A configured caller.
#[derive(Debug)]
pub(crate) struct Caller {
    settings: CallerSettings,
    token: Option<Arc<CallerToken>>,
}

/// Who sent a request: a configured caller, or whoever can connect.
pub(crate) type Identity = Option<Arc<Caller>>;

impl Callers {
    /// The configured callers. What is known of a token that `old` has as well is kept.
    pub(crate) fn new(all: &[CallerSettings], old: Option<&Self>) -> Self {
        let token = |name: &str, secret: &SecretRef| {
            let mut known = old.into_iter().flat_map(Self::tokens);
            let known = known.find(|token| token.is_of(name, secret));
            known.map_or_else(|| Arc::new(CallerToken::new(name, secret)), Arc::clone)
        };
        let caller = |settings: &CallerSettings| {
            let secret = settings.token.as_ref();
            Arc::new(Caller {
                settings: settings.clone(),
                token: secret.map(|secret| token(&settings.name, secret)),
            })
        };
        Self(all.iter().map(caller).collect())
    }

    fn tokens(&self) -> impl Iterator<Item = &Arc<CallerToken>> {
        self.0.iter().filter_map(|caller| caller.token.as_ref())
    }

    /// Reads the tokens that were not read for a while, and tells the operator of those that can't be read.
    pub(crate) async fn read(&self) {
        let due = self.tokens().filter(|token| token.is_due());
        // What waits for them may be dropped.
        join_all(due.map(|token| tokio::spawn(token.clone().refresh()))).await;
    }

    /// Begins to read the tokens that were not read for a while.
    pub(crate) fn begin_to_read(&self) {
        let is_next = |token: &&Arc<CallerToken>| token.is_due() && !token.is_being_read();
        for token in self.tokens().filter(is_next) {
            tokio::spawn(token.clone().refresh());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who sent a request with these headers.
    pub(crate) async fn identify(
        &self,
        headers: &HeaderMap,
        peer: &Peer,
    ) -> Result<Identity, Problem> {
        if self.is_empty() {
            return Ok(None);
        }
        let given = credentials(headers);
        self.find(&given, peer).await.map(Some).ok_or_else(unknown)
    }

    /// The caller with one of these tokens, or the one at the other end of the connection.
    pub(crate) async fn find(&self, given: &[String], peer: &Peer) -> Option<Arc<Caller>> {
        let hashes: Vec<[u8; 32]> = given.iter().map(|token| hash(token)).collect();
        let known = self.find_known(&hashes, peer);
        if known.is_some() || hashes.is_empty() {
            return known;
        }
        // The token may have changed since it was read. Boxed, since this is rare, and would be in the
        // memory of every call.
        Box::pin(self.read()).await;
        self.find_known(&hashes, peer)
    }

    fn find_known(&self, given: &[[u8; 32]], peer: &Peer) -> Option<Arc<Caller>> {
        let mut found = None;
        for caller in &self.0 {
            if caller.is_at(peer) || caller.has_one_of(given) {
                found.get_or_insert(caller);
            }
        }
        found.cloned()
    }
}

fn unknown() -> Problem {
    unproven("the caller is unknown; send its token as Authorization: Bearer, or in Biped-Caller")
}

/// Refuses a configured caller that may not use this provider.
pub(crate) fn check_may_use(identity: &Identity, provider: &Arc<str>) -> Result<(), Problem> {
    if identity
        .as_ref()
        .is_none_or(|caller| caller.may_use(provider))
    {
        return Ok(());
    }
    let what = "this caller may not use the provider; list the provider in providers of the caller";
    Err(Problem::not_permitted(what, provider))
}

/// A problem of a request that must prove its caller, and does not.
pub(crate) fn unproven(what: &str) -> Problem {
    Problem::new("caller", what).header(
        WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"biped\""),
    )
}

impl Caller {
    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether tokens are handed out to it.
    pub(crate) fn may_have_tokens(&self) -> bool {
        self.settings.tokens
    }

    /// Whether the connection itself proves the caller.
    fn is_at(&self, peer: &Peer) -> bool {
        let (uid, name) = (self.settings.uid, self.settings.certificate.as_ref());
        let is_user = uid.is_some() && uid == peer.uid;
        let secured = peer.secured.as_ref();
        is_user || name.is_some_and(|name| secured.is_some_and(|secured| secured.is_caller(name)))
    }

    pub(crate) fn may_use(&self, provider: &str) -> bool {
        self.settings.may_use(provider)
    }

    /// Whether it may name this tenant.
    pub(crate) fn may_name(&self, tenant: &str) -> bool {
        let mut mine = self.settings.tenants.iter();
        mine.any(|known| ["*", tenant].contains(&&**known))
    }

    fn has_one_of(&self, given: &[[u8; 32]]) -> bool {
        let token = self.token.as_ref();
        token.is_some_and(|token| token.is_one_of(given))
    }
}

/// Every token that a request may prove its caller with.
pub(crate) fn credentials(headers: &HeaderMap) -> Vec<String> {
    let mut all = Vec::new();
    for name in [AUTHORIZATION, PROXY_AUTHORIZATION] {
        for value in headers.get_all(name) {
            let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.split_once(' '))
            else {
                continue;
            };
            let rest = rest.trim();
            if scheme.eq_ignore_ascii_case("bearer") {
                all.push(rest.to_owned());
            } else if scheme.eq_ignore_ascii_case("basic")
                && let Some((_, password)) = basic(rest)
            {
                // RFC 6749 §2.3.1 encodes it as a form, and many libraries do not.
                let pair = format!("={}", password.replace('&', "%26"));
                let mut decoded = url::form_urlencoded::parse(pair.as_bytes());
                let decoded = decoded.next().map(|(_, text)| text.into_owned());
                all.extend(decoded.filter(|text| *text != password));
                all.push(password);
            }
        }
    }
    let own = headers.get_all(BIPED_CALLER).iter();
    all.extend(
        own.filter_map(|value| value.to_str().ok())
            .map(str::to_owned),
    );
    all.retain(|token| !token.is_empty());
    all
}

/// The user name and the password of `Basic` credentials (RFC 7617).
pub(crate) fn basic(text: &str) -> Option<(String, String)> {
    let plain = BASE64_STANDARD.decode(text.trim()).ok()?;
    let plain = String::from_utf8(plain).ok()?;
    let (user, password) = plain.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// How many new keys each caller used in the current minute.
#[derive(Debug, Default)]
pub(crate) struct NewKeys(Mutex<HashMap<String, Used>>);

#[derive(Debug, Default)]
struct Used {
    minute: u64,
    count: u32,
    seen: HashSet<[u8; 32]>,
}

impl NewKeys {
    /// Admits a key of a caller, unless it is one new key too many in this minute.
    pub(crate) fn admit(&self, caller: &str, key: &str, limit: u32) -> Result<(), Problem> {
        let now = SystemClock.now().mono.as_secs();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let used = all.entry(caller.to_owned()).or_default();
        let key = hash(key);
        if used.seen.contains(&key) {
            return Ok(());
        }
        if used.minute != now / 60 {
            (used.minute, used.count) = (now / 60, 0);
        }
        if used.count >= limit {
            let left = Duration::from_secs(60 - now % 60);
            let what = "this caller used too many new combinations of parameters and scopes in a minute; see \
                        new_keys_per_minute in [serve]";
            return Err(Problem::new("too-many-keys", what).retry_after(left));
        }
        used.count += 1;
        if used.seen.len() >= REMEMBERED {
            used.seen.clear();
        }
        used.seen.insert(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_every_place_that_an_sdk_may_put_it() {
        let lines = [
            ("authorization", "Bearer a"),
            ("proxy-authorization", "Basic dXNlcjpi"),
            ("biped-caller", "c"),
        ];
        let headers: HeaderMap = lines
            .into_iter()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().unwrap();
                (name, HeaderValue::from_static(value))
            })
            .collect();
        assert_eq!(credentials(&headers), ["a", "b", "c"]);
    }

    #[test]
    fn new_keys_are_limited_and_known_ones_are_not() {
        let keys = NewKeys::default();
        assert!(keys.admit("a", "1", 2).is_ok());
        assert!(keys.admit("a", "2", 2).is_ok());
        // A minute may begin in between, and then two more are admitted.
        let more = ["3", "4", "5"].map(|key| keys.admit("a", key, 2));
        let refused = more.into_iter().find_map(Result::err).unwrap();
        assert_eq!(refused.word, "too-many-keys");
        assert!(keys.admit("a", "1", 2).is_ok());
        assert!(keys.admit("b", "3", 2).is_ok());
    }
}
