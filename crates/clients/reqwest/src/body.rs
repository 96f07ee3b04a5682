//! Wrapped bodies of API responses.

use std::{
    collections::VecDeque,
    error::Error as StdError,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use biped_core::{Clock, SystemClock};
use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use reqwest::{Body, Response, ResponseBuilderExt};
use url::Url;

/// Reads up to `limit` bytes of a response's body, until `deadline`. The returned response still has its
/// whole body; the bytes are returned as well if they are the whole body.
pub(crate) async fn peek(
    response: Response,
    limit: usize,
    mut deadline: Pin<Box<dyn Future<Output = ()> + Send>>,
) -> (Response, Option<Bytes>) {
    let mut ahead = Ahead::default();
    let url = response.url().clone();
    let (parts, mut rest) = http::Response::<Body>::from(response).into_parts();
    let mut left = limit;
    let whole = loop {
        let frame = poll_fn(|cx| match Pin::new(&mut rest).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Some(frame)),
            Poll::Pending => deadline.as_mut().poll(cx).map(|()| None),
        });
        match frame.await {
            Some(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                ahead.frames.push_back(Ok(frame));
                match left.checked_sub(length) {
                    Some(still) => left = still,
                    None => break false,
                }
            }
            // The caller sees the error in its place, after the data before it.
            Some(Some(Err(error))) => {
                ahead.frames.push_back(Err(error));
                break false;
            }
            Some(None) => break true,
            None => break false,
        }
    };
    let read = whole.then(|| ahead.data());
    ahead.rest = (!whole).then_some(rest);
    let response = http::Response::from_parts(parts, Body::wrap(ahead));
    (at(response, url), read)
}

/// Wraps the body of a response with `wrap`.
pub(crate) fn wrapped<B>(response: Response, wrap: impl FnOnce(Body) -> B) -> Response
where
    B: HttpBody<Data = Bytes, Error: Into<Box<dyn StdError + Send + Sync>>> + Send + Sync + 'static,
{
    let url = response.url().clone();
    at(
        http::Response::<Body>::from(response).map(|body| Body::wrap(wrap(body))),
        url,
    )
}

/// The same response with another URL.
pub(crate) fn relocated(response: Response, url: Url) -> Response {
    at(response.into(), url)
}

fn at(mut response: http::Response<Body>, url: Url) -> Response {
    // Only a builder can set the URL.
    if let Ok(carrier) = http::Response::builder().url(url).body(()) {
        response
            .extensions_mut()
            .extend(carrier.into_parts().0.extensions);
    }
    response.into()
}

/// The part of a body that was read already, then the rest.
#[derive(Default)]
struct Ahead {
    frames: VecDeque<Result<Frame<Bytes>, reqwest::Error>>,
    rest: Option<Body>,
}

impl Ahead {
    fn data(&self) -> Bytes {
        let mut all = self.frames.iter().flatten().filter_map(Frame::data_ref);
        match (all.next(), all.next()) {
            (None, _) => Bytes::new(),
            (Some(only), None) => only.clone(),
            (Some(first), Some(second)) => {
                let mut joined = BytesMut::from(&first[..]);
                joined.extend_from_slice(second);
                all.for_each(|data| joined.extend_from_slice(data));
                joined.freeze()
            }
        }
    }
}

impl HttpBody for Ahead {
    type Data = Bytes;
    type Error = reqwest::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, reqwest::Error>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(frame));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let read: usize = self
            .frames
            .iter()
            .flatten()
            .filter_map(Frame::data_ref)
            .map(Bytes::len)
            .sum();
        let read = u64::try_from(read).unwrap_or(u64::MAX);
        let rest = self
            .rest
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(read.saturating_add(rest.lower()));
        if let Some(upper) = rest.upper() {
            hint.set_upper(read.saturating_add(upper));
        }
        hint
    }
}

/// A body that keeps a value until it ends or is dropped.
pub(crate) struct Holding<T> {
    body: Body,
    held: Option<T>,
}

impl<T> Holding<T> {
    pub(crate) fn new(body: Body, held: T) -> Self {
        let held = (!body.is_end_stream()).then_some(held);
        Self { body, held }
    }
}

impl<T: Unpin> HttpBody for Holding<T> {
    type Data = Bytes;
    type Error = reqwest::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, reqwest::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || self.body.is_end_stream() {
            self.held = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that fails if nothing of it comes for some time.
pub(crate) struct Impatient {
    body: Body,
    limit: Duration,
    /// Until when the next part must be there. The mutex is never locked: it makes the future `Sync`.
    silence: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
}

impl Impatient {
    pub(crate) fn new(body: Body, limit: Duration) -> Self {
        Self {
            body,
            limit,
            silence: Mutex::default(),
        }
    }
}

impl HttpBody for Impatient {
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let limit = self.limit;
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let silence = self.silence.get_mut();
        let silence = silence.unwrap_or_else(PoisonError::into_inner);
        if let Poll::Ready(frame) = frame {
            *silence = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(
            silence
                .get_or_insert_with(|| SystemClock.sleep(limit))
                .as_mut()
                .poll(cx)
        );
        // As reqwest's own errors of time, whose type is private, it is recognised by its kind.
        Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
