//! [`Lifetime`]: how long a token lives, and the limits that hold for every token.

use std::time::Duration;

/// How long a token is believed where nobody says: neither the answer, nor the token itself, nor
/// the provider.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// What a longer stated lifetime is cut to.
pub const MAX_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long a token lives when the vendor's answer doesn't say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lifetime {
    /// This long, from when it was asked for.
    For(Duration),
    /// Until an API rejects it. A provider that gives such tokens says so
    /// ([`Provider::lives_until_rejected`](crate::Provider::lives_until_rejected)).
    UntilRejected,
}
