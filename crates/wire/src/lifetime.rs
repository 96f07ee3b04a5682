//! [`Lifetime`]: how long a token lives, and the limits that hold for every token. [`NoLifetime`]: why
//! that had to be assumed.

use std::{fmt, time::Duration};

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
    /// (`Provider::lives_until_rejected`).
    UntilRejected,
}

/// Why the lifetime of a token is assumed. `Display` says it in a few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoLifetime {
    /// The response does not tell it.
    Missing,
    /// The response tells it in a form that can't be read, or it is over already.
    Unreadable,
    /// The response does not tell it where it should, according to the description of the vendor.
    Misplaced,
}

impl fmt::Display for NoLifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the response has no expires_in",
            Self::Unreadable => "the lifetime in the response can't be read, or has already ended",
            Self::Misplaced => "the response has no lifetime where the vendor file says",
        })
    }
}
