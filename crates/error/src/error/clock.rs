//! What the `Date` of a refusal says about this machine's clock.

use http::{HeaderMap, header};

use super::Error;
use crate::Timestamp;

/// The largest difference of clocks that is not told, in seconds. `Date` has whole seconds, and a response
/// takes its time.
const TOLERATED: u64 = 30;

impl Error {
    /// Adds how far this machine's clock is ahead of the vendor's, by the `Date` of the response
    /// (RFC 9110 §6.6.1). A difference of up to 30 s is not told, nor is the difference of a response that
    /// came from a cache.
    #[must_use]
    pub fn with_date(mut self, headers: &HeaderMap, now: Timestamp) -> Self {
        self.inner().clock_ahead = ahead(headers, now).filter(|by| by.unsigned_abs() > TOLERATED);
        self
    }

    /// That this machine's clock differs from the vendor's, in a few words. It may be the reason of a
    /// refusal: assertions and signatures hold a time.
    #[must_use]
    pub fn clock_warning(&self) -> Option<String> {
        let by = self.0.clock_ahead?;
        let way = if by > 0 { "ahead of" } else { "behind" };
        Some(format!(
            "this machine's clock is {} s {way} the vendor's",
            by.unsigned_abs()
        ))
    }
}

/// By how many seconds this machine's clock is ahead.
fn ahead(headers: &HeaderMap, now: Timestamp) -> Option<i64> {
    if headers.contains_key(header::AGE) {
        return None;
    }
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let theirs = Timestamp::from(httpdate::parse_http_date(date).ok()?);
    Some(now.unix_seconds().saturating_sub(theirs.unix_seconds()))
}
