//! Bodies that are generated while they are sent: large, endless or cut off.

use std::{
    fmt, io,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::{listen::End, stop::Stopped};

/// Returns `length` bytes; byte *i* is *i* mod 251.
pub(crate) fn counted(length: u64, stop: impl Future<Output = ()> + Send + 'static) -> Body {
    /// A multiple of 251, so that each chunk continues the last one.
    const CHUNK: usize = 251 * 256;
    static PATTERN: LazyLock<Bytes> =
        LazyLock::new(|| (0..=250_u8).cycle().take(CHUNK).collect::<Vec<_>>().into());
    let chunk = PATTERN.clone();
    Body::new(Generated {
        first: None,
        chunk,
        left: Some(length),
        stop: Box::pin(stop),
    })
}

/// Returns an endless JSON text.
pub(crate) fn endless(stop: impl Future<Output = ()> + Send + 'static) -> Body {
    static PATTERN: LazyLock<Bytes> = LazyLock::new(|| vec![b'a'; 64 * 1024].into());
    let first = Some(Bytes::from_static(br#"{"data":""#));
    Body::new(Generated {
        first,
        chunk: PATTERN.clone(),
        left: None,
        stop: Box::pin(stop),
    })
}

/// Returns the first half of a body, and then ends as `ending` says.
pub(crate) fn cut(
    body: Body,
    ending: Ending,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Body {
    let left = body.size_hint().exact().unwrap_or(0) / 2;
    Body::new(Cut {
        body,
        left,
        has_flushed: false,
        ending,
        stop: Box::pin(stop),
    })
}

/// What happens after half of a body.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The connection is reset.
    Reset(End),
    /// Nothing follows.
    Stall,
}

struct Generated {
    first: Option<Bytes>,
    chunk: Bytes,
    /// How many bytes remain; `None` if the body is endless.
    left: Option<u64>,
    stop: Stopped,
}

impl HttpBody for Generated {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == Some(0) {
            return Poll::Ready(None);
        }
        if self.stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(stopped())));
        }
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let mut chunk = self.chunk.clone();
        if let Some(left) = &mut self.left {
            chunk.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= chunk.len() as u64;
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

struct Cut {
    body: Body,
    left: u64,
    has_flushed: bool,
    ending: Ending,
    stop: Stopped,
}

impl HttpBody for Cut {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        while self.left > 0 {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(mut data) = frame.into_data() else {
                        continue;
                    };
                    data.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                    self.left -= data.len() as u64;
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error)))),
                None => self.left = 0,
            }
        }
        match &self.ending {
            // The server flushes only when a body is pending.
            Ending::Reset(_) if !self.has_flushed => {
                self.has_flushed = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Ending::Reset(end) => {
                end.reset();
                Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
            }
            Ending::Stall => {
                ready!(self.stop.as_mut().poll(cx));
                Poll::Ready(Some(Err(stopped())))
            }
        }
    }
}

fn stopped() -> io::Error {
    io::Error::other("the sandbox has stopped")
}

impl fmt::Debug for Generated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generated")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cut")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
