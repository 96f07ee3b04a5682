//! What a store says is vetted like a vendor's answer: others may write to the store too.
//!
//! | what it claims | what holds |
//! | --- | --- |
//! | a base URL | one that [`Provider::base_urls`] names, as for an answer |
//! | a lifetime | a year at most, from now at the latest; without an end only where the provider says so |
//! | a scheme | `Bearer`; `DPoP` for a token that is bound to a key |
//! | a key that the token is bound to | one that this process [was given](Provider::is_given_key), in a sealed store |
//! | an age | less than [`Provider::idle_limit`] |
//! | a generation | one that a clock may have said |
//! | further fields, a type | what [`Provider::accepts_stored`] says |
//! | a failure | the vendor's words cut and escaped, and 15 minutes at most |
//! | a lease | no longer than any lease is given |

use std::{borrow::Cow, time::Duration};

use biped_core::{
    Error, FetchContext, Generation, Provider, StoredToken, Timestamp, Token, TokenRequest,
};

use crate::{
    fleet::format,
    settings::{LEASE, MAX_RETRY_AFTER},
};

/// How much longer than what is ever written a store may say that something lasts: its clock is its
/// own.
const LENIENCY: Duration = Duration::from_secs(60);

/// The largest entry that is read, in bytes: twice the largest answer.
const LARGEST: usize = 2 * 1024 * 1024;

/// The token in a store's entry; `None` where it is none. Only a sealed store has tokens that are bound to a
/// key.
pub(crate) fn decode(
    stored: &StoredToken,
    is_sealed: bool,
    now: Timestamp,
) -> Option<(Token, Generation)> {
    if !stored.generation.is_plausible(now) || stored.bytes.len() > LARGEST {
        return None;
    }
    let token = format::decode(&stored.bytes, now)?;
    let may_be_here = is_sealed || token.confirmation().is_none();
    may_be_here.then_some((token, stored.generation))
}

/// Checks that the vendor's answer to `request` could have been this token.
///
/// # Errors
/// Why it could not, in words for an event.
pub(crate) async fn check_stored(
    token: &Token,
    provider: &dyn Provider,
    request: &TokenRequest,
    cx: &FetchContext<'_>,
) -> Result<(), Cow<'static, str>> {
    if token.expires_at().is_none() && !provider.lives_until_rejected() {
        return Err("it never expires, but this vendor's tokens do".into());
    }
    // Who used it last is not known here; that it was issued lately is.
    let age = cx.now().since(token.requested_at());
    if provider.idle_limit().is_some_and(|limit| age >= limit) {
        return Err("it may have been unused for longer than the vendor allows".into());
    }
    if let Some(thumbprint) = token.confirmation()
        && !provider.is_given_key(thumbprint, cx).await
    {
        return Err("it is bound to a key that this process was not given".into());
    }
    if !provider.accepts_stored(token, request) {
        return Err("the provider does not accept it for this request".into());
    }
    let checked = check_base_url(token, provider, cx).await;
    checked.map_err(|error| error.message().to_owned().into())
}

/// Checks that the base URL of a token, wherever it comes from, is one that its provider names.
pub(crate) async fn check_base_url(
    token: &Token,
    provider: &dyn Provider,
    cx: &FetchContext<'_>,
) -> Result<(), Error> {
    let Some(url) = token.base_url() else {
        return Ok(());
    };
    let named = provider.base_urls(cx).await;
    named
        .and_then(|named| named.read(url.as_str()).map(drop))
        .map_err(|error| error.redacting(&cx.redactor()))
}

/// Whether a process may have asked for a pause of this length.
pub(crate) fn may_cool_down(left: Duration) -> bool {
    left <= MAX_RETRY_AFTER + LENIENCY
}

/// Whether a lease may have this much time left.
pub(crate) fn may_be_leased(left: Duration) -> bool {
    left <= LEASE + LENIENCY
}
