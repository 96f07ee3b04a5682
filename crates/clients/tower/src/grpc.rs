//! How gRPC rejects a token, for those who send gRPC calls in another way than with
//! [`TokenLayer`](crate::TokenLayer).

use http::{HeaderMap, HeaderName};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const UNAUTHENTICATED: &[u8] = b"16";

/// Returns whether these headers contain the status of the call.
#[must_use]
pub fn has_status(headers: &HeaderMap) -> bool {
    headers.contains_key(STATUS)
}

/// Returns whether these headers or trailers say `UNAUTHENTICATED`, gRPC's equivalent of 401.
#[must_use]
pub fn is_unauthenticated(headers: &HeaderMap) -> bool {
    headers
        .get(STATUS)
        .is_some_and(|status| status.as_bytes() == UNAUTHENTICATED)
}
