//! [`AnswerBody`]: the body of an answer, timed, which keeps what the call holds until it ends.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use biped::{
    provider::{Clock, SystemClock},
    tower::ResponseBody,
};
use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::{activity::Active, headers, limiter::Permit, observe::Call, upstream::ApiBody};

/// The body of an answer.
pub(crate) struct AnswerBody {
    kind: Kind,
    watch: Option<Watch>,
    /// Keeps the caller's connection from counting as idle.
    active: Option<Active>,
}

enum Kind {
    /// Made here.
    Own(Option<Bytes>),
    /// Made here, piece by piece.
    Pieces(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
    /// Boxed, because the value is moved often.
    Api(Box<Api>),
}

struct Api {
    body: ResponseBody<ApiBody>,
    idle: Duration,
    /// Whether cookies pass in trailers.
    keep_cookies: bool,
    deadline: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// It ended early, which the caller is not told yet.
    is_cut: bool,
}

/// What lasts as long as the answer.
pub(crate) struct Watch {
    pub(crate) call: Box<Call>,
    /// Limiter for one more call, given back with it.
    pub(crate) _permits: Option<[Permit; 2]>,
}

impl AnswerBody {
    /// A body that was made here.
    pub(crate) fn own(data: Bytes) -> Self {
        Self {
            kind: Kind::Own((!data.is_empty()).then_some(data)),
            watch: None,
            active: None,
        }
    }

    /// A body whose pieces are sent as they come.
    pub(crate) fn pieces(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        Self {
            kind: Kind::Pieces(Box::pin(pieces)),
            watch: None,
            active: None,
        }
    }

    /// The API's body, which may be silent for `idle`.
    pub(crate) fn api(body: ResponseBody<ApiBody>, idle: Duration, keep_cookies: bool) -> Self {
        Self {
            kind: Kind::Api(Box::new(Api {
                body,
                idle,
                keep_cookies,
                deadline: None,
                is_cut: false,
            })),
            watch: None,
            active: None,
        }
    }

    pub(crate) fn active(mut self, active: Active) -> Self {
        self.active = Some(active);
        self
    }

    /// Notes that the caller gets all of it.
    fn complete(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.call.complete();
        }
        if let Some(active) = &self.active {
            active.complete();
        }
    }

    pub(crate) fn watched(mut self, watch: Watch) -> Self {
        self.watch = Some(watch);
        self
    }
}

/// The API's body ended early, or stopped arriving.
#[derive(Debug)]
pub(crate) struct CutOff;

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the API's response ended early")
    }
}

impl std::error::Error for CutOff {}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        let this = &mut *self;
        let api = match &mut this.kind {
            Kind::Own(data) => {
                let data = data.take();
                if let Some(watch) = &mut this.watch {
                    watch.call.out(data.as_ref().map_or(0, Bytes::len));
                }
                if data.is_none() {
                    this.complete();
                }
                return Poll::Ready(data.map(|data| Ok(Frame::data(data))));
            }
            Kind::Pieces(pieces) => {
                let piece = pieces.as_mut().poll_next(cx);
                if let (Poll::Ready(piece), Some(watch)) = (&piece, &mut this.watch) {
                    watch.call.out(piece.as_ref().map_or(0, Bytes::len));
                }
                if let Poll::Ready(None) = piece {
                    this.complete();
                }
                return piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))));
            }
            Kind::Api(api) => &mut **api,
        };
        if api.is_cut {
            return Poll::Ready(Some(Err(CutOff)));
        }
        match Pin::new(&mut api.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                api.deadline = None;
                let Some(frame) = frame else {
                    this.complete();
                    this.watch = None;
                    return Poll::Ready(None);
                };
                let Ok(mut frame) = frame else {
                    if let Some(watch) = &mut this.watch {
                        watch.call.cut_off();
                    }
                    this.watch = None;
                    // What came before is sent first: hyper drops it at an error.
                    api.is_cut = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                };
                if let Some(watch) = &mut this.watch {
                    watch.call.out(frame.data_ref().map_or(0, Bytes::len));
                }
                if let Some(trailers) = frame.trailers_mut() {
                    headers::trailers_to_caller(trailers, api.keep_cookies);
                    // Nothing is asked for after them.
                    this.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Pending => {
                let idle = api.idle;
                let deadline = (api.deadline).get_or_insert_with(|| SystemClock.sleep(idle));
                match deadline.as_mut().poll(cx) {
                    Poll::Ready(()) => {
                        if let Some(watch) = &mut this.watch {
                            watch.call.cut_off();
                        }
                        Poll::Ready(Some(Err(CutOff)))
                    }
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Own(data) => data.is_none(),
            Kind::Pieces(_) => false,
            Kind::Api(api) => api.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Own(data) => SizeHint::with_exact(data.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Pieces(_) => SizeHint::default(),
            Kind::Api(api) => api.body.size_hint(),
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        // A body that says it is at its end is not asked for another frame.
        if self.is_end_stream() {
            self.complete();
        }
    }
}

impl fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerBody").finish_non_exhaustive()
    }
}
