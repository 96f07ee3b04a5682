//! [`Activity`]: what a connection does, and when it has done nothing for too long.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use biped::provider::{Clock, SystemClock};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// How long a head may take from its first byte on.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// The bytes that HTTP/2 starts with.
const PREFACE: &[u8] = b"PRI ";

/// What a connection does.
#[derive(Clone, Debug)]
pub(crate) struct Activity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keep_alive: Duration,
    /// Requests that have not been answered to the end.
    requests: AtomicUsize,
    phase: AtomicU8,
    /// When the phase began, in milliseconds of the monotonic clock.
    since: AtomicU64,
    /// Whether the connection's end would be taken for the end of a body that is not whole.
    is_cut: AtomicBool,
}

/// A timer, and when it goes off.
struct Alarm {
    at: Duration,
    timer: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Nothing has been read since the last answer.
const IDLE: u8 = 0;
/// A head has begun.
const HEAD: u8 = 1;
/// The connection is HTTP/2, whose frames come between requests, too.
const HTTP2: u8 = 2;

impl Activity {
    pub(crate) fn new(keep_alive: Duration) -> Self {
        Self(Arc::new(Inner {
            keep_alive,
            requests: AtomicUsize::new(0),
            phase: AtomicU8::new(IDLE),
            since: AtomicU64::new(millis()),
            is_cut: AtomicBool::new(false),
        }))
    }

    /// Notes a request; it lasts until the guard is dropped.
    pub(crate) fn request(&self) -> Active {
        self.0.requests.fetch_add(1, Ordering::AcqRel);
        Active(self.clone())
    }

    /// Notes what was read.
    fn read(&self, bytes: &[u8]) {
        if self.0.requests.load(Ordering::Acquire) > 0 || bytes.is_empty() {
            return;
        }
        let phase = if bytes.starts_with(PREFACE) {
            HTTP2
        } else {
            HEAD
        };
        let begun = self
            .0
            .phase
            .compare_exchange(IDLE, phase, Ordering::AcqRel, Ordering::Acquire);
        if begun.is_ok() {
            self.0.since.store(millis(), Ordering::Release);
        }
    }

    /// Completes when a head or the next request takes too long. To be awaited by the task that reads: a
    /// head that begins is noticed because that task wakes.
    pub(crate) async fn expired(&self) {
        let mut alarm: Option<Alarm> = None;
        poll_fn(|cx| {
            loop {
                let end = self.end();
                let is_early = alarm.as_ref().is_none_or(|alarm| end < alarm.at);
                if is_early {
                    let left = end.saturating_sub(SystemClock.now().mono);
                    if left.is_zero() {
                        return Poll::Ready(());
                    }
                    let timer = SystemClock.sleep(left);
                    alarm = Some(Alarm { at: end, timer });
                }
                // A timer that fires too early costs one extra check.
                if let Some(alarm) = &mut alarm {
                    ready!(alarm.timer.as_mut().poll(cx));
                }
                alarm = None;
            }
        })
        .await;
    }

    /// When the connection has done nothing for too long, should it do nothing from now on.
    fn end(&self) -> Duration {
        let inner = &self.0;
        if inner.requests.load(Ordering::Acquire) > 0 {
            return SystemClock.now().mono + inner.keep_alive;
        }
        let limit = match inner.phase.load(Ordering::Acquire) {
            HEAD => HEAD_TIME,
            _ => inner.keep_alive,
        };
        Duration::from_millis(inner.since.load(Ordering::Acquire)) + limit
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct Active(Activity);

impl Active {
    /// The end of the connection is the end of the body: the connection is reset unless the body is whole
    /// by then.
    pub(crate) fn ends_with_connection(&self) {
        self.0.0.is_cut.store(true, Ordering::Release);
    }

    /// The body is whole.
    pub(crate) fn complete(&self) {
        self.0.0.is_cut.store(false, Ordering::Release);
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let inner = &self.0.0;
        inner.since.store(millis(), Ordering::Release);
        if inner.phase.load(Ordering::Acquire) == HEAD {
            inner.phase.store(IDLE, Ordering::Release);
        }
        inner.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

fn millis() -> u64 {
    u64::try_from(SystemClock.now().mono.as_millis()).unwrap_or(u64::MAX)
}

/// A stream that can end in a way that its other side takes for an error.
pub(crate) trait Reset {
    /// Resets the connection when the stream is dropped, where its kind allows it.
    fn reset_at_end(&self);
}

impl Reset for TcpStream {
    fn reset_at_end(&self) {
        if let Err(error) = self.set_zero_linger() {
            tracing::debug!("a caller's connection can't be reset: {error}");
        }
    }
}

impl Reset for TlsStream<TcpStream> {
    fn reset_at_end(&self) {
        self.get_ref().0.reset_at_end();
    }
}

#[cfg(unix)]
impl Reset for tokio::net::UnixStream {
    fn reset_at_end(&self) {}
}

/// A stream whose reads are noted.
#[derive(Debug)]
pub(crate) struct Timed<S: Reset> {
    stream: S,
    activity: Activity,
}

impl<S: Reset> Timed<S> {
    pub(crate) fn new(stream: S, activity: Activity) -> Self {
        Self { stream, activity }
    }
}

impl<S: Reset> Drop for Timed<S> {
    fn drop(&mut self) {
        if self.activity.0.is_cut.load(Ordering::Acquire) {
            self.stream.reset_at_end();
        }
    }
}

impl<S: AsyncRead + Reset + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.activity
            .read(buffer.filled().get(before..).unwrap_or_default());
        read
    }
}

impl<S: AsyncWrite + Reset + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_head_has_its_time_however_slowly_it_comes() {
        let activity = Activity::new(LONG);
        let idle = activity.end();
        activity.read(b"G");
        let end = activity.end();
        assert!(end < idle);
        activity.0.since.fetch_sub(1, Ordering::AcqRel);
        activity.read(b"E");
        assert_eq!(activity.end(), end - Duration::from_millis(1));
        // While a request is answered, nothing ends, and then the next one is waited for.
        let request = activity.request();
        activity.0.since.store(0, Ordering::Release);
        assert!(activity.end() > end);
        drop(request);
        assert!(activity.end() > end);
    }

    #[test]
    fn frames_of_http2_are_no_slow_head() {
        let activity = Activity::new(LONG);
        activity.read(b"PRI * HTTP/2.0");
        activity.read(b"\0\0\0");
        assert!(activity.end() > SystemClock.now().mono + HEAD_TIME);
    }
}
