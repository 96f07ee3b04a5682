//! [`Body`]: a request body that can be sent again if it was complete when the call started.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};

use crate::BoxError;

/// How much of a request body is read ahead, without waiting: 64 KiB, and the frame that exceeds it.
pub const READ_AHEAD: usize = 64 * 1024;

/// The body of a request to the service below.
pub struct Body(Kind);

enum Kind {
    /// The whole body; it can be sent again.
    Whole(Whole),
    Stream {
        ahead: VecDeque<Result<Frame<Bytes>, BoxError>>,
        rest: UnsyncBoxBody<Bytes, BoxError>,
    },
}

#[derive(Clone, Default)]
struct Whole {
    data: Option<Bytes>,
    /// Rare, and large.
    trailers: Option<Box<HeaderMap>>,
    /// The size hint of the original body, so that a length is announced as before.
    announced: SizeHint,
}

impl Body {
    /// Returns a body that is in memory, and can be sent again.
    #[must_use]
    pub fn whole(data: Bytes) -> Self {
        let announced = SizeHint::with_exact(data.len() as u64);
        Self(Kind::Whole(Whole {
            data: (!data.is_empty()).then_some(data),
            trailers: None,
            announced,
        }))
    }

    /// Reads what is ready of `body`, without waiting.
    pub async fn read_ahead<B>(body: B) -> Self
    where
        B: HttpBody + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let announced = body.size_hint();
        let mut rest = body
            .map_frame(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))
            .map_err(Into::into)
            .boxed_unsync();
        let mut ahead = VecDeque::new();
        let is_whole = poll_fn(|cx| Poll::Ready(drain(&mut rest, &mut ahead, cx))).await;
        Self(if is_whole {
            Kind::Whole(Whole::of(ahead, announced))
        } else {
            Kind::Stream { ahead, rest }
        })
    }

    /// A second copy, which shares the bytes; `None` if the body is not complete.
    #[must_use]
    pub fn duplicate(&self) -> Option<Self> {
        match &self.0 {
            Kind::Whole(whole) => Some(Self(Kind::Whole(whole.clone()))),
            Kind::Stream { .. } => None,
        }
    }

    /// Returns the whole body, if it is complete.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Whole(whole) => Some(whole.data.as_deref().unwrap_or_default()),
            Kind::Stream { .. } => None,
        }
    }
}

/// Takes the ready frames out of `body`; returns whether they are the whole body.
fn drain(
    body: &mut UnsyncBoxBody<Bytes, BoxError>,
    ahead: &mut VecDeque<Result<Frame<Bytes>, BoxError>>,
    cx: &mut Context<'_>,
) -> bool {
    let mut length = 0;
    while !body.is_end_stream() {
        if length > READ_AHEAD {
            return false;
        }
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                length += frame.data_ref().map_or(0, Bytes::len);
                ahead.push_back(Ok(frame));
            }
            // The sender sees the error in its place.
            Poll::Ready(Some(Err(error))) => {
                ahead.push_back(Err(error));
                return false;
            }
            Poll::Ready(None) => return true,
            Poll::Pending => return false,
        }
    }
    true
}

impl Whole {
    fn of(frames: VecDeque<Result<Frame<Bytes>, BoxError>>, announced: SizeHint) -> Self {
        let mut whole = Self {
            announced,
            ..Self::default()
        };
        for frame in frames.into_iter().flatten() {
            match frame.into_data() {
                Ok(data) => {
                    whole.data = Some(match whole.data.take() {
                        None => data,
                        Some(before) => {
                            let mut joined = BytesMut::from(before);
                            joined.extend_from_slice(&data);
                            joined.freeze()
                        }
                    });
                }
                Err(frame) => whole.trailers = frame.into_trailers().ok().map(Box::new),
            }
        }
        whole
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Whole(whole) => {
                let data = whole.data.take().map(Frame::data);
                let next = data.or_else(|| whole.trailers.take().map(|it| Frame::trailers(*it)));
                Poll::Ready(next.map(Ok))
            }
            Kind::Stream { ahead, rest } => match ahead.pop_front() {
                Some(frame) => Poll::Ready(Some(frame)),
                None => Pin::new(rest).poll_frame(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(whole) => whole.data.is_none() && whole.trailers.is_none(),
            Kind::Stream { ahead, rest } => ahead.is_empty() && rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            // Hints are read before the first frame; later ones do not matter.
            Kind::Whole(whole) if whole.data.is_some() => whole.announced,
            Kind::Whole(_) => SizeHint::with_exact(0),
            Kind::Stream { ahead, rest } => {
                let frames = ahead.iter().flatten().filter_map(Frame::data_ref);
                added(frames.map(Bytes::len).sum(), &rest.size_hint())
            }
        }
    }
}

/// The size hint of `read` bytes and the rest.
pub(crate) fn added(read: usize, rest: &SizeHint) -> SizeHint {
    let read = u64::try_from(read).unwrap_or(u64::MAX);
    let mut hint = SizeHint::new();
    hint.set_lower(read.saturating_add(rest.lower()));
    if let Some(upper) = rest.upper() {
        hint.set_upper(read.saturating_add(upper));
    }
    hint
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_whole = matches!(self.0, Kind::Whole(_));
        f.debug_struct("Body")
            .field("is_whole", &is_whole)
            .finish_non_exhaustive()
    }
}
