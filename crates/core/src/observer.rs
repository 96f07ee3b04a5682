//! [`RequestObserver`]: what observes the requests of a fetch.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::Error;

/// Observes the requests of a fetch, for logs. URLs are given without a query, and without the secrets of
/// the fetch.
pub trait RequestObserver: Send + Sync {
    /// A request with a body of `bytes` bytes is about to be sent.
    fn sending(&self, method: &Method, url: &str, bytes: usize);

    /// A request has ended: with a status and the number of bytes of the body, or with an error.
    fn answered(
        &self,
        method: &Method,
        url: &str,
        answer: Result<(StatusCode, usize), &Error>,
        took: Duration,
    );
}
