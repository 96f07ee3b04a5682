//! How gRPC rejects a token.

use http::{HeaderMap, HeaderName};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const UNAUTHENTICATED: &[u8] = b"16";

/// Returns whether these headers contain the status of the call.
pub(crate) fn has_status(headers: &HeaderMap) -> bool {
    headers.contains_key(STATUS)
}

/// Returns whether these headers or trailers say `UNAUTHENTICATED`, gRPC's equivalent of 401.
pub(crate) fn is_unauthenticated(headers: &HeaderMap) -> bool {
    headers
        .get(STATUS)
        .is_some_and(|status| status.as_bytes() == UNAUTHENTICATED)
}
