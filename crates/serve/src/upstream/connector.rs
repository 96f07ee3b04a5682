//! [`Connector`]: makes a connection to an API within a time, with TLS where the API has it.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use biped::provider::{Clock, SystemClock};
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

use super::{
    open::Open,
    proxy::ProxyConnector,
    tcp::{BoxError, Boxed, TooSlow},
};
use crate::{config::Http2, meter::OpenConnections};

/// Makes connections. The client clones it for each request, whether it connects or not.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Parts>);

struct Parts {
    https: HttpsConnector<ProxyConnector>,
    limit: Duration,
    gauges: OpenConnections,
}

impl Connector {
    pub(super) fn new(
        tls: ClientConfig,
        http2: Http2,
        limit: Duration,
        proxied: ProxyConnector,
        gauges: OpenConnections,
    ) -> Self {
        let builder = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http();
        let https = match http2 {
            Http2::Auto => builder.enable_all_versions().wrap_connector(proxied),
            Http2::Off => builder.enable_http1().wrap_connector(proxied),
            Http2::PriorKnowledge => builder.enable_http2().wrap_connector(proxied),
        };
        Self(Arc::new(Parts {
            https,
            limit,
            gauges,
        }))
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
        self.0.https.clone().poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connection = self.0.https.clone().call(uri);
        let (limit, gauges) = (self.0.limit, self.0.gauges.clone());
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

/// A connection that knows whether it is in use.
pub(crate) struct Counted {
    stream: MaybeHttpsStream<MaybeHttpsStream<TokioIo<TcpStream>>>,
    open: Open,
}

impl Counted {
    pub(super) fn open(&self) -> &Open {
        &self.open
    }
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
