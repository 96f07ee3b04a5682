//! [`TcpConnector`]: connections without TLS, and below it, which never lead to the sidecar itself.

use std::{
    fmt,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use http::Uri;
use hyper_util::{
    client::legacy::connect::{
        HttpConnector,
        dns::{GaiResolver, Name},
    },
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower_service::Service;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(super) type Boxed<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

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
/// Connecting took too long.
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
    TooSlow: "connecting took too long";
}

/// Connections without TLS, and below it.
#[derive(Clone)]
pub(super) struct TcpConnector {
    http: HttpConnector<Names>,
    own: OwnAddresses,
}

impl TcpConnector {
    pub(super) fn new(own: OwnAddresses) -> Self {
        let mut http = HttpConnector::new_with_resolver(Names(GaiResolver::new()));
        http.enforce_http(false);
        http.set_nodelay(true);
        Self { http, own }
    }
}

impl Service<Uri> for TcpConnector {
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
pub(super) struct Names(GaiResolver);

impl Names {
    /// An address of a host.
    pub(super) async fn first(host: &str) -> Result<SocketAddr, NoAddress> {
        let name: Name = host.parse().map_err(|_| NoAddress)?;
        let mut found = Self(GaiResolver::new()).call(name).await?;
        found.next().ok_or(NoAddress)
    }
}

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
