//! [`Lifetime`]: how long a token lives, and the limits that hold for every token.

use std::time::Duration;

/// How long a token is taken to live if neither the response, nor the token itself, nor the provider
/// says so: 15 minutes.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The longest lifetime of a token: a year. A longer one is cut to it.
pub const MAX_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long a token lives if the vendor's response doesn't say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lifetime {
    /// This long, from when its request was sent.
    For(Duration),
    /// Until an API rejects it. A provider that gives such tokens says so
    /// ([`Provider::lives_until_rejected`](crate::Provider::lives_until_rejected)).
    UntilRejected,
}
