//! [`ApiBody`]: the body of an API's answer.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::{failure::SendError, open::Use, pool::Lease};
use crate::limiter::Permit;

/// The end of one attempt: an answer, or why there is none and whether its connection had served before.
pub(crate) type Attempt = Result<Response<ApiBody>, (SendError, bool)>;

/// The body of an API's answer, which keeps its connection in use until it is at its end.
pub(crate) struct ApiBody {
    // Dropped in this order.
    body: Incoming,
    in_use: Option<Use>,
    /// A connection of the pool, which goes back to it then.
    lease: Option<Lease>,
    /// A request of a client, which may take another one then.
    stream: Option<Permit>,
}

impl ApiBody {
    pub(super) fn new(
        body: Incoming,
        in_use: Option<Use>,
        lease: Option<Lease>,
        stream: Option<Permit>,
    ) -> Self {
        Self {
            body,
            in_use,
            lease,
            stream,
        }
    }
}

impl HttpBody for ApiBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self {
            body,
            in_use,
            lease,
            stream,
        } = &mut *self;
        let frame = match lease {
            Some(lease) => lease.poll(cx, |cx| Pin::new(&mut *body).poll_frame(cx)),
            None => Pin::new(body).poll_frame(cx),
        };
        if let Poll::Ready(None) = frame {
            *in_use = None;
            *lease = None;
            *stream = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Debug for ApiBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiBody").finish_non_exhaustive()
    }
}
