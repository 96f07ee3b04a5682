//! Responses of the sidecar's own routes.

use bytes::Bytes;
use http::{
    HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, X_CONTENT_TYPE_OPTIONS},
};
use serde_json::Value;

/// A response that no cache keeps.
pub(crate) fn json(body: &Value) -> Response<Bytes> {
    answer(body.to_string(), "application/json")
}

pub(crate) fn text(body: impl Into<Bytes>) -> Response<Bytes> {
    answer(body, "text/plain; charset=utf-8")
}

fn answer(body: impl Into<Bytes>, kind: &'static str) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
