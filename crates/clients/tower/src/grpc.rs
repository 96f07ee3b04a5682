//! How gRPC says that a token is no good.

use http::{HeaderMap, HeaderName};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const UNAUTHENTICATED: &[u8] = b"16";

/// Whether the status of the call stands here already.
pub(crate) fn has_status(headers: &HeaderMap) -> bool {
    headers.contains_key(STATUS)
}

/// Whether these headers or trailers say `UNAUTHENTICATED`, gRPC's name for 401.
pub(crate) fn is_unauthenticated(headers: &HeaderMap) -> bool {
    headers
        .get(STATUS)
        .is_some_and(|status| status.as_bytes() == UNAUTHENTICATED)
}
