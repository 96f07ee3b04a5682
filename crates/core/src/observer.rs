//! [`RequestObserver`]: is told of the requests of a fetch.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::Error;

/// Is told of the requests of a fetch, for logs. URLs are told without a query, and without the secrets of
/// the fetch.
pub trait RequestObserver: Send + Sync {
    /// A request is sent, with a body of so many bytes.
    fn sending(&self, method: &Method, url: &str, bytes: usize);

    /// A request was answered, with a body of so many bytes, or not.
    fn answered(
        &self,
        method: &Method,
        url: &str,
        answer: Result<(StatusCode, usize), &Error>,
        took: Duration,
    );
}
