//! [`ResponseBody`]: a response's body, parts of which may have been read ahead. Watches its trailers.

use std::{
    collections::VecDeque,
    fmt,
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use biped_core::ApiResponse;
use biped_engine::{CachedToken, TokenSource};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{body::added, grpc};

pin_project! {
    /// The body of a response. Its reader sees the service's own body, unchanged.
    pub struct ResponseBody<P: HttpBody<Data = Bytes>> {
        ahead: VecDeque<Result<Frame<Bytes>, P::Error>>,
        #[pin]
        rest: Rest<P>,
        watch: Option<Watch>,
    }
}

pin_project! {
    #[project = RestProjection]
    enum Rest<P> {
        Own { #[pin] body: P },
        // Pinned, because reading ahead has polled it.
        Pinned { body: Pin<Box<P>> },
        Ended,
    }
}

/// The deadline for reading ahead.
type Deadline = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The result of reading ahead.
enum Ahead {
    Frame,
    /// The body has ended.
    End,
    /// Reading ahead has stopped, because of the deadline or an error.
    NoMore,
}

/// The token that trailers may still reject.
struct Watch {
    source: TokenSource,
    token: Arc<CachedToken>,
}

impl Watch {
    fn see(self, trailers: &HeaderMap) {
        if grpc::is_unauthenticated(trailers) {
            let now = self.source.clock().now().wall;
            let seen = ApiResponse::new(StatusCode::UNAUTHORIZED, trailers, now);
            self.source.judge_late(&self.token, &seen);
        }
    }
}

impl<P: HttpBody<Data = Bytes>> ResponseBody<P> {
    /// Wraps a body of which nothing has been read.
    #[must_use]
    pub fn new(body: P) -> Self {
        Self {
            ahead: VecDeque::new(),
            rest: Rest::Own { body },
            watch: None,
        }
    }

    /// Rejects the token if trailers say so.
    pub(crate) fn watch(&mut self, source: TokenSource, token: Arc<CachedToken>) {
        self.watch = Some(Watch { source, token });
    }

    /// Reads up to `limit` bytes, until `deadline`. Returns them if they are the whole body. The reader
    /// still sees all of it.
    pub(crate) async fn peek(
        mut self,
        limit: usize,
        mut deadline: Deadline,
    ) -> (Self, Option<Bytes>) {
        let mut left = limit;
        loop {
            match self.read_ahead(&mut deadline).await {
                Ahead::Frame => {}
                Ahead::End => {
                    let read = self.read();
                    return (self, Some(read));
                }
                Ahead::NoMore => return (self, None),
            }
            let latest = self.ahead.back().and_then(|frame| frame.as_ref().ok());
            let length = latest.and_then(Frame::data_ref).map_or(0, Bytes::len);
            match left.checked_sub(length) {
                Some(still) => left = still,
                None => return (self, None),
            }
        }
    }

    /// Waits for the first frame, until `deadline`. Returns trailers that precede all data. The reader
    /// still sees the frame.
    pub(crate) async fn peek_trailers(
        mut self,
        mut deadline: Deadline,
    ) -> (Self, Option<HeaderMap>) {
        self.read_ahead(&mut deadline).await;
        let first = self.ahead.front().and_then(|frame| frame.as_ref().ok());
        let trailers = first.and_then(Frame::trailers_ref).cloned();
        (self, trailers)
    }

    /// Reads one frame ahead.
    async fn read_ahead(&mut self, deadline: &mut Deadline) -> Ahead {
        let mut body = match mem::replace(&mut self.rest, Rest::Ended) {
            Rest::Own { body } => Box::pin(body),
            Rest::Pinned { body } => body,
            Rest::Ended => return Ahead::End,
        };
        let frame = poll_fn(|cx| match body.as_mut().poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Some(frame)),
            Poll::Pending => deadline.as_mut().poll(cx).map(|()| None),
        });
        let ahead = match frame.await {
            Some(None) => return Ahead::End,
            Some(Some(frame)) => {
                // The reader sees the error in its place, after the data before it.
                let is_error = frame.is_err();
                self.ahead.push_back(frame);
                if is_error {
                    Ahead::NoMore
                } else {
                    Ahead::Frame
                }
            }
            None => Ahead::NoMore,
        };
        self.rest = Rest::Pinned { body };
        ahead
    }

    fn read(&self) -> Bytes {
        let mut read = BytesMut::new();
        let frames = self.ahead.iter().flatten().filter_map(Frame::data_ref);
        frames.for_each(|data| read.extend_from_slice(data));
        read.freeze()
    }
}

impl<P: HttpBody<Data = Bytes>> HttpBody for ResponseBody<P> {
    type Data = Bytes;
    type Error = P::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, P::Error>>> {
        let this = self.project();
        let frame = match this.ahead.pop_front() {
            Some(frame) => Some(frame),
            None => match this.rest.project() {
                RestProjection::Own { body } => ready!(body.poll_frame(cx)),
                RestProjection::Pinned { body } => ready!(body.as_mut().poll_frame(cx)),
                RestProjection::Ended => None,
            },
        };
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
            && let Some(watch) = this.watch.take()
        {
            watch.see(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty()
            && match &self.rest {
                Rest::Own { body } => body.is_end_stream(),
                Rest::Pinned { body } => body.is_end_stream(),
                Rest::Ended => true,
            }
    }

    fn size_hint(&self) -> SizeHint {
        let frames = self.ahead.iter().flatten().filter_map(Frame::data_ref);
        let rest = match &self.rest {
            Rest::Own { body } => body.size_hint(),
            Rest::Pinned { body } => body.size_hint(),
            Rest::Ended => SizeHint::with_exact(0),
        };
        added(frames.map(Bytes::len).sum(), &rest)
    }
}

impl<P: HttpBody<Data = Bytes>> fmt::Debug for ResponseBody<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
