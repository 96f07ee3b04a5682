//! DPoP (RFC 9449): tokens that are bound to a key, the proofs of the key, and nonces.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use biped_core::{Error, SecretString, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use url::Url;

use crate::authentication::CLOCK_SKEW;
use biped_sources::{Algorithm, KeySource, SigningKey, fresh_id, sha256};

/// The header with a proof (RFC 9449 §4.1).
pub(crate) const PROOF: HeaderName = HeaderName::from_static("dpop");
/// The header with a nonce (RFC 9449 §8.1).
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The scheme of bound tokens, and their `token_type` (RFC 9449 §5).
pub(crate) const SCHEME: &str = "DPoP";

/// The error of a server that wants the nonce of its response in the proof (RFC 9449 §8).
pub(crate) const USE_NONCE: &str = "use_dpop_nonce";

/// The bounds of what is remembered: a longer nonce is ignored, and so many origins have one.
const LONGEST_NONCE: usize = 1024;
const MOST_ORIGINS: usize = 64;

const DPOP_KEY: KeySource<'static> = KeySource {
    name: "dpop_key",
    password: None,
    kid: None,
};

/// How many given keys are remembered: after a rotation, tokens of the previous key are still in use.
const MOST_KEYS: usize = 4;

/// Makes the proof for one request (RFC 9449 §4.2), signed with one of the `listed` algorithms if
/// the key has one.
pub(crate) fn proof(
    key: &SigningKey,
    listed: Option<&[String]>,
    method: &Method,
    url: &Url,
    access_token: Option<&str>,
    nonce: Option<&str>,
    now: Timestamp,
) -> Result<HeaderValue, Error> {
    let mut target = url.clone();
    target.set_query(None);
    target.set_fragment(None);
    let mut claims = json!({
        "jti": fresh_id()?,
        "htm": method.as_str(),
        "htu": target.as_str(),
        "iat": now.before(CLOCK_SKEW).unix_seconds(),
    });
    if let Some(token) = access_token {
        claims["ath"] = sha256(token).into();
    }
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    let public: Value = serde_json::from_str(key.public())
        .map_err(|_| Error::internal("the public key is not valid JSON"))?;
    let alg = Algorithm::choose(&key.algorithms(), None, listed)?;
    let jws = key.jws(alg, json!({ "typ": "dpop+jwt", "jwk": public }), &claims)?;
    HeaderValue::from_str(&jws)
        .map_err(|_| Error::internal("the DPoP proof is not a valid header value"))
}

/// The keys that tokens are bound to.
#[derive(Debug, Default)]
pub(crate) struct ProofKeys(Mutex<Vec<Arc<SigningKey>>>);

impl ProofKeys {
    /// Returns the key that this process generated. All providers of a process share it, because
    /// providers with equal ids share their tokens.
    pub(crate) fn of_process() -> Result<Arc<SigningKey>, Error> {
        static KEY: OnceLock<Arc<SigningKey>> = OnceLock::new();
        if let Some(key) = KEY.get() {
            return Ok(key.clone());
        }
        let made = Arc::new(SigningKey::generate()?);
        Ok(KEY.get_or_init(|| made).clone())
    }

    /// Returns the configured key. It is read each time, since it may have been replaced.
    pub(crate) fn given(&self, text: &SecretString) -> Result<Arc<SigningKey>, Error> {
        let read = SigningKey::read(text, DPOP_KEY)?;
        let mut known = self.lock();
        if let Some(same) = known
            .iter()
            .find(|key| key.thumbprint() == read.thumbprint())
        {
            return Ok(same.clone());
        }
        let key = Arc::new(read);
        known.insert(0, key.clone());
        known.truncate(MOST_KEYS);
        Ok(key)
    }

    /// Returns the key with this thumbprint, if it is known.
    pub(crate) fn find(&self, thumbprint: &str) -> Option<Arc<SigningKey>> {
        let of_process = || Self::of_process().ok();
        self.find_given(thumbprint)
            .or_else(|| of_process().filter(|key| key.thumbprint() == thumbprint))
    }

    /// Returns the configured key with this thumbprint, if it was read.
    pub(crate) fn find_given(&self, thumbprint: &str) -> Option<Arc<SigningKey>> {
        let keys = self.lock();
        keys.iter()
            .find(|key| key.thumbprint() == thumbprint)
            .cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<SigningKey>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The latest nonce of each server, for the next proofs.
#[derive(Debug, Default)]
pub(crate) struct Nonces(Mutex<BTreeMap<String, Box<str>>>);

/// The side that a nonce is for: neither accepts a nonce of the other (RFC 9449 §8.2).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    AuthorizationServer,
    Api,
}

impl Nonces {
    /// Remembers the nonce of a response, whatever its status. Returns whether it has one.
    pub(crate) fn learn(&self, side: Side, url: Option<&Url>, headers: &HeaderMap) -> bool {
        let Some(nonce) = headers.get(NONCE).and_then(|value| value.to_str().ok()) else {
            return false;
        };
        if nonce.is_empty() || nonce.len() > LONGEST_NONCE {
            return false;
        }
        let mut all = self.lock();
        let place = place(side, url);
        if all.len() >= MOST_ORIGINS && !all.contains_key(&place) {
            all.clear();
        }
        all.insert(place, nonce.into());
        true
    }

    /// Returns the nonce for a request to this URL.
    pub(crate) fn find(&self, side: Side, url: &Url) -> Option<String> {
        let all = self.lock();
        // If the HTTP library does not say which URL responded, there is one nonce for all.
        all.get(&place(side, Some(url)))
            .or_else(|| all.get(&place(side, None)))
            .map(|nonce| String::from(&**nonce))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Box<str>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(side: Side, url: Option<&Url>) -> String {
    let origin = url.map_or_else(String::new, |url| url.origin().ascii_serialization());
    format!("{side:?} {origin}")
}
