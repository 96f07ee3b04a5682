//! Access tokens: JWTs for Contentsquare and opaque texts for the envelope vendor, with their state.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    time::Duration,
};

use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use biped_core::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{
    fault::Vendor,
    stats::{Caller, KeyFilter},
};

/// The claims of a JWT (RFC 7519 §4.1, and the vendor's own).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) sub: String,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    pub(crate) jti: String,
    pub(crate) scope: String,
    pub(crate) project_id: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) integration_id: Option<i64>,
}

/// Signs JWTs with HS256 (RFC 7518 §3.2), with a key that lives as long as the sandbox.
pub(crate) struct Signer(Hmac<Sha256>);

impl Signer {
    pub(crate) fn random() -> Self {
        let mut key = [0; 64];
        fastrand::fill(&mut key);
        Self(Hmac::new(&key.into()))
    }

    pub(crate) fn sign(&self, claims: &Claims) -> String {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT","kid":"sandbox"}"#);
        // Serializing texts and numbers can't fail.
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims).unwrap_or_default());
        let signed = format!("{header}.{payload}");
        let signature = self.0.clone().chain_update(&signed).finalize().into_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Returns the claims of a JWT with a valid signature.
    fn open(&self, jwt: &str) -> Option<Claims> {
        let (signed, signature) = jwt.rsplit_once('.')?;
        let (_, payload) = signed.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.0
            .clone()
            .chain_update(signed)
            .verify_slice(&signature)
            .ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

/// The token of an API call, as far as it can be read.
#[derive(Clone, Debug)]
pub(crate) struct Presented {
    /// Whether the call has a token at all.
    is_there: bool,
    /// Its name in the register.
    pub(crate) id: Option<String>,
    pub(crate) claims: Option<Claims>,
}

impl Presented {
    pub(crate) fn read(vendor: Vendor, headers: &HeaderMap, signer: &Signer) -> Self {
        let text = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        let claims = match vendor {
            Vendor::Contentsquare => text.and_then(|text| signer.open(text)),
            Vendor::Envelope => None,
        };
        let id = match vendor {
            Vendor::Contentsquare => claims.as_ref().map(|claims| claims.jti.clone()),
            Vendor::Envelope => text.map(Into::into),
        };
        Self {
            is_there: text.is_some(),
            id,
            claims,
        }
    }
}

/// Why a token is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    Missing,
    Invalid,
    Expired,
    Revoked,
}

/// All issued tokens, until well after their expiry.
#[derive(Debug, Default)]
pub(crate) struct Register {
    tokens: HashMap<String, Issued>,
    sweep_at: usize,
}

#[derive(Debug)]
struct Issued {
    caller: Caller,
    expires_at: Timestamp,
    is_revoked: bool,
}

/// How many tokens are kept whatever their age.
const SWEEP_FROM: usize = 4096;

/// How long the register remembers an expired token.
const REMEMBERED: Duration = Duration::from_secs(3600);

impl Register {
    pub(crate) fn add(&mut self, id: String, caller: Caller, now: Timestamp, life: Duration) {
        if self.tokens.len() >= self.sweep_at.max(SWEEP_FROM) {
            self.tokens
                .retain(|_, token| token.expires_at.after(REMEMBERED) > now);
            self.sweep_at = self.tokens.len() * 2;
        }
        let expires_at = now.after(life);
        self.tokens.insert(
            id,
            Issued {
                caller,
                expires_at,
                is_revoked: false,
            },
        );
    }

    /// Returns the client and the key of a token.
    pub(crate) fn caller(&self, vendor: Vendor, token: &Presented) -> Caller {
        if let Some(issued) = token.id.as_ref().and_then(|id| self.tokens.get(id)) {
            return issued.caller.clone();
        }
        let Some(claims) = &token.claims else {
            return Caller::unknown(vendor);
        };
        Caller {
            vendor,
            client_id: Some(claims.sub.clone()),
            scope: Some(claims.scope.clone()),
            project_id: Some(claims.project_id),
            integration_id: claims.integration_id,
        }
    }

    pub(crate) fn judge(&self, token: &Presented, now: Timestamp) -> Result<(), Rejection> {
        if !token.is_there {
            return Err(Rejection::Missing);
        }
        let Some(id) = &token.id else {
            return Err(Rejection::Invalid);
        };
        if token
            .claims
            .as_ref()
            .is_some_and(|claims| claims.exp <= now.unix_seconds())
        {
            return Err(Rejection::Expired);
        }
        match self.tokens.get(id) {
            None => Err(Rejection::Invalid),
            // `exp` has whole seconds; the register has the exact time.
            Some(issued) if issued.expires_at <= now => Err(Rejection::Expired),
            Some(issued) if issued.is_revoked => Err(Rejection::Revoked),
            Some(_) => Ok(()),
        }
    }

    /// Revokes the live tokens of these keys; returns their number and their keys.
    pub(crate) fn revoke(&mut self, filter: &KeyFilter, now: Timestamp) -> (usize, Keys) {
        self.revoke_where(now, |_, caller| filter.selects(caller))
    }

    /// Revokes the live tokens of exactly this key.
    pub(crate) fn revoke_key(&mut self, key: &Caller, now: Timestamp) -> (usize, Keys) {
        self.revoke_where(now, |_, caller| caller == key)
    }

    /// Revokes one token, if it is live.
    pub(crate) fn revoke_one(&mut self, id: &str, now: Timestamp) -> (usize, Keys) {
        self.revoke_where(now, |known, _| known == id)
    }

    fn revoke_where(
        &mut self,
        now: Timestamp,
        picks: impl Fn(&str, &Caller) -> bool,
    ) -> (usize, Keys) {
        let (mut count, mut keys) = (0, Keys::new());
        for (id, issued) in &mut self.tokens {
            if !issued.is_revoked && issued.expires_at > now && picks(id, &issued.caller) {
                issued.is_revoked = true;
                count += 1;
                keys.insert(issued.caller.clone());
            }
        }
        (count, keys)
    }
}

/// The keys whose tokens were revoked.
pub(crate) type Keys = BTreeSet<Caller>;

/// Returns a random text of this many hexadecimal digits.
pub(crate) fn random_hex(digits: usize) -> String {
    (0..digits).map(|_| fastrand::digit(16)).collect()
}
