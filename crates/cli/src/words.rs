//! How commands describe tokens and times.

use biped::{Timestamp, Token, TokenSource};

/// Formats a time as RFC 3339, in whole seconds, rounded down.
pub(crate) fn rfc3339(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_second(at.unix_seconds()).ok()?;
    Some(at.to_string())
}

/// Returns the granted scope of a token, else the requested one (RFC 6749 §5.1), sorted: requests that
/// differ in the order of scopes share a token.
pub(crate) fn scope(source: &TokenSource, token: &Token) -> Option<String> {
    let granted = token.scope().map(Into::into);
    granted.or_else(|| {
        let mut requested: Vec<_> = source.request().scope_names().collect();
        requested.sort_unstable();
        (!requested.is_empty()).then(|| requested.join(" "))
    })
}

/// Returns the base URL of a token's API, without a slash at the end, so that a path can follow.
pub(crate) fn base_url(source: &TokenSource, token: &Token) -> Option<String> {
    let url = source.base_url(token)?.as_str();
    Some(url.trim_end_matches('/').to_owned())
}

/// Formats a duration for people, with its two largest units.
pub(crate) fn in_words(time: std::time::Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if days > 0 => format!("{days} d {} h", hours % 24),
        () if hours > 0 => format!("{hours} h {} min", minutes % 60),
        () if minutes > 0 => format!("{minutes} min {} s", seconds % 60),
        () => format!("{seconds} s"),
    }
}
