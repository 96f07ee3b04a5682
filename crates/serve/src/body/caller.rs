//! A caller's body: counted, timed, and read ahead where it can be sent again.

use std::{
    collections::VecDeque,
    error::Error,
    fmt,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use biped::{
    provider::{Clock, SystemClock},
    tower::Body,
};
use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use crate::{headers, problem::Problem};

/// How long a short body is waited for before it is sent as it comes.
const READ_TIME: Duration = Duration::from_secs(10);

type BoxError = Box<dyn Error + Send + Sync>;

/// How far a body has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    bytes: AtomicU64,
    /// When it last moved, in milliseconds of the monotonic clock.
    moved: AtomicU64,
}

impl Progress {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// When the body last moved, on the monotonic clock.
    pub(crate) fn moved(&self) -> Duration {
        Duration::from_millis(self.0.moved.load(Ordering::Relaxed))
    }

    fn touch(&self, bytes: usize) {
        let now = SystemClock.now().mono.as_millis();
        self.0
            .moved
            .store(u64::try_from(now).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Why a caller's body ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interrupted {
    TooLarge,
    Silent,
    /// The caller went away.
    Gone,
    /// What came is not a body.
    Broken,
}

impl Interrupted {
    pub(crate) fn problem(self) -> Problem {
        match self {
            Self::TooLarge => Problem::new(
                "body-too-large",
                "the body has more bytes than max_body in [serve] allows",
            ),
            Self::Silent => Problem::new(
                "incomplete-body",
                "the body stopped arriving; see idle_timeout in [serve]",
            ),
            Self::Gone => Problem::new("incomplete-body", "the body ended early").gone(),
            Self::Broken => Problem::new("incomplete-body", "the body is not valid HTTP"),
        }
        .sent()
        .close()
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the caller's body is too large",
            Self::Silent => "the caller's body stopped arriving",
            Self::Gone => "the caller's body ended early",
            Self::Broken => "the caller's body is not valid HTTP",
        })
    }
}

impl Error for Interrupted {}

/// The limits of a caller's body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max: Option<u64>,
    pub(crate) keep: u64,
    pub(crate) idle: Duration,
    /// Whether cookies pass in trailers.
    pub(crate) keep_cookies: bool,
}

/// Takes a caller's body. One of at most `keep` bytes, of a length that was declared, is read whole
/// first; of others at most as much is read of what is there already. What is whole can be sent again.
pub(crate) async fn incoming(
    body: Incoming,
    limits: Limits,
    progress: &Progress,
) -> Result<Body, Interrupted> {
    if body.is_end_stream() {
        return Ok(Body::whole(Bytes::new()));
    }
    let declared = body.size_hint().exact();
    progress.touch(0);
    let mut watched = Watched {
        body,
        limits,
        progress: progress.clone(),
        deadline: None,
        taken: VecDeque::new(),
        declared,
        is_ended: false,
    };
    if declared.is_none() {
        watched.take_ready().await?;
    }
    if declared.is_none_or(|length| length > limits.keep) {
        return Ok(Body::read_ahead(watched).await);
    }
    let mut read = BytesMut::new();
    let mut deadline = SystemClock.sleep(READ_TIME);
    loop {
        let frame = poll_fn(|cx| match Pin::new(&mut watched).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Some(frame)),
            Poll::Pending => deadline.as_mut().poll(cx).map(|()| None),
        });
        match frame.await {
            Some(None) => return Ok(Body::whole(read.freeze())),
            Some(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    read.extend_from_slice(data);
                }
            }
            Some(Some(Err(error))) => return Err(why(&error)),
            None => {
                watched.taken.push_back(Frame::data(read.freeze()));
                return Ok(Body::read_ahead(watched).await);
            }
        }
    }
}

/// Why a body gave an error.
fn why(error: &BoxError) -> Interrupted {
    let why = error.downcast_ref::<Interrupted>().copied();
    why.unwrap_or(Interrupted::Gone)
}

/// Why a caller's body can't be read on. A connection that ends is not the same as bytes that are no body.
fn interrupted(error: &hyper::Error) -> Interrupted {
    let io = error.source().and_then(|it| it.downcast_ref::<io::Error>());
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Interrupted::Broken,
        _ => Interrupted::Gone,
    }
}

/// A caller's body on its way.
struct Watched {
    body: Incoming,
    limits: Limits,
    progress: Progress,
    deadline: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// What was read before.
    taken: VecDeque<Frame<Bytes>>,
    declared: Option<u64>,
    is_ended: bool,
}

impl Watched {
    /// Takes what is there already, up to the limit of what is kept.
    async fn take_ready(&mut self) -> Result<(), Interrupted> {
        let mut length = 0;
        while length < self.limits.keep {
            let Some(frame) = self.ready().await else {
                return Ok(());
            };
            let frame = frame.map_err(|error| why(&error))?;
            length += frame.data_ref().map_or(0, Bytes::len) as u64;
            self.taken.push_back(frame);
        }
        Ok(())
    }

    /// The next frame if it is there. A connection over HTTP/1.1 looks for it when it is polled after its
    /// service, and it polls the service again then.
    async fn ready(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        let mut has_waited = false;
        poll_fn(|cx| match self.poll_next(cx) {
            Poll::Pending if !has_waited => {
                has_waited = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => Poll::Ready(None),
            ready => ready,
        })
        .await
    }

    /// The next frame that was not taken.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.deadline = None;
                let mut frame = match frame {
                    Some(Ok(frame)) => frame,
                    Some(Err(error)) => {
                        return Poll::Ready(Some(Err(interrupted(&error).into())));
                    }
                    None => {
                        self.is_ended = true;
                        return Poll::Ready(None);
                    }
                };
                if let Some(trailers) = frame.trailers_mut() {
                    headers::trailers_to_api(trailers, self.limits.keep_cookies);
                }
                self.progress.touch(frame.data_ref().map_or(0, Bytes::len));
                let max = self.limits.max;
                if max.is_some_and(|max| self.progress.bytes() > max) {
                    return Poll::Ready(Some(Err(Interrupted::TooLarge.into())));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Pending => {
                let idle = self.limits.idle;
                let deadline = self.deadline.get_or_insert_with(|| SystemClock.sleep(idle));
                match deadline.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(Some(Err(Interrupted::Silent.into()))),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.taken.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => self.poll_next(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.taken.is_empty() && (self.is_ended || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match self.declared {
            Some(length) if !self.taken.is_empty() => SizeHint::with_exact(length),
            None => SizeHint::default(),
            _ => self.body.size_hint(),
        }
    }
}
