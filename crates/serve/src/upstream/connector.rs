//! [`Connector`]: makes a connection to an API, within a time, and never to the sidecar itself.

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use biped::provider::{Clock, SystemClock};
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::connect::{
        Connected, Connection, HttpConnector,
        dns::{GaiResolver, Name},
    },
    rt::TokioIo,
};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

use super::open::Open;
use crate::{config::Http2, meter::OpenConnections};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Boxed<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// The addresses that the sidecar itself listens at.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnAddresses(Arc<Mutex<Vec<SocketAddr>>>);

impl OwnAddresses {
    pub(crate) fn add(&self, address: SocketAddr) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(address);
    }

    pub(crate) fn remove(&self, address: SocketAddr) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = all.iter().position(|known| *known == address) {
            all.swap_remove(at);
        }
    }

    fn contains(&self, stream: &TcpStream) -> bool {
        let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else {
            return false;
        };
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().any(|own| {
            let is_here = peer.ip() == local.ip() || peer.ip().is_loopback();
            own.port() == peer.port() && (*own == peer || own.ip().is_unspecified() && is_here)
        })
    }
}

/// The API's address is one of the sidecar's own.
#[derive(Debug)]
pub(super) struct IsLoop;
/// The API's name can't be resolved.
#[derive(Debug)]
pub(super) struct NoAddress;
/// There was no connection in time.
#[derive(Debug)]
pub(super) struct TooSlow;

macro_rules! error {
    ($($name:ty: $text:literal;)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($text)
            }
        }
        impl std::error::Error for $name {}
    )*};
}
error! {
    IsLoop: "the address is the sidecar's own";
    NoAddress: "the name can't be resolved";
    TooSlow: "no connection in time";
}

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Connector {
    https: HttpsConnector<Plain>,
    limit: Duration,
    gauges: OpenConnections,
}

impl Connector {
    pub(super) fn new(
        tls: ClientConfig,
        http2: Http2,
        limit: Duration,
        own: OwnAddresses,
        gauges: OpenConnections,
    ) -> Self {
        let mut http = HttpConnector::new_with_resolver(Names(GaiResolver::new()));
        http.enforce_http(false);
        http.set_nodelay(true);
        let plain = Plain { http, own };
        let builder = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http();
        let https = match http2 {
            Http2::Auto => builder.enable_all_versions().wrap_connector(plain),
            Http2::Off => builder.enable_http1().wrap_connector(plain),
            Http2::PriorKnowledge => builder.enable_http2().wrap_connector(plain),
        };
        Self {
            https,
            limit,
            gauges,
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Service<Uri> for Connector {
    type Response = Counted;
    type Error = BoxError;
    type Future = Boxed<Counted>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connection = self.https.call(uri);
        let (limit, gauges) = (self.limit, self.gauges.clone());
        Box::pin(async move {
            tokio::select! {
                biased;
                stream = connection => Ok(Counted {
                    stream: stream?,
                    open: Open::new(gauges),
                }),
                () = SystemClock.sleep(limit) => Err(TooSlow.into()),
            }
        })
    }
}

/// Connections without TLS, and below it.
#[derive(Clone)]
struct Plain {
    http: HttpConnector<Names>,
    own: OwnAddresses,
}

impl Service<Uri> for Plain {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Boxed<TokioIo<TcpStream>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.http.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connection = self.http.call(uri);
        let own = self.own.clone();
        Box::pin(async move {
            let stream = connection.await?;
            if own.contains(stream.inner()) {
                return Err(IsLoop.into());
            }
            Ok(stream)
        })
    }
}

/// The system's resolver, whose errors can be told from others.
#[derive(Clone)]
struct Names(GaiResolver);

impl Service<Name> for Names {
    type Response = <GaiResolver as Service<Name>>::Response;
    type Error = NoAddress;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NoAddress>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NoAddress>> {
        self.0.poll_ready(cx).map_err(|_| NoAddress)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let found = self.0.call(name);
        Box::pin(async move { found.await.map_err(|_| NoAddress) })
    }
}

/// A connection that knows whether it is in use.
pub(crate) struct Counted {
    stream: MaybeHttpsStream<TokioIo<TcpStream>>,
    open: Open,
}

impl Connection for Counted {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.open.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.close();
    }
}

impl Read for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Write for Counted {
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
