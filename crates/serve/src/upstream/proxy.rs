//! [`ProxyConnector`]: the connection to an API below its TLS: direct, or through the proxy of `[http]`.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use biped::{
    ExposeSecret,
    reqwest::{HttpSettings, ProxySetting},
};
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::{
        legacy::connect::proxy::{SocksV4, SocksV5, Tunnel},
        proxy::matcher::{Intercept, Matcher},
    },
    rt::TokioIo,
};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;
use url::Url;

use super::tcp::{BoxError, Boxed, IsLoop, Names, TcpConnector};

/// The port of a SOCKS proxy whose address names none.
const SOCKS_PORT: u16 = 1080;

/// The proxy gave no connection.
#[derive(Debug)]
pub(super) enum ProxyFailed {
    /// It wants a user name and a password, or others.
    Unauthenticated,
    /// It did not let the connection through, or is not there.
    Unreachable,
}

impl fmt::Display for ProxyFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unauthenticated => "the proxy refuses the credentials",
            Self::Unreachable => "there is no connection through the proxy",
        })
    }
}

impl std::error::Error for ProxyFailed {}

/// Makes connections.
#[derive(Clone)]
pub(super) struct ProxyConnector {
    proxies: Arc<Matcher>,
    tcp: TcpConnector,
    /// To a proxy with TLS of its own.
    to_proxy: HttpsConnector<TcpConnector>,
}

impl ProxyConnector {
    pub(super) fn new(settings: &HttpSettings, tls: ClientConfig, tcp: TcpConnector) -> Self {
        let proxies = match settings.proxy_setting() {
            ProxySetting::Direct => Matcher::builder().build(),
            ProxySetting::At(url) => Matcher::builder().all(url.expose_secret().trim()).build(),
            _ => Matcher::from_system(),
        };
        let to_proxy = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp.clone());
        Self {
            proxies: Arc::new(proxies),
            tcp,
            to_proxy,
        }
    }

    fn proxy(&self, uri: &Uri) -> Option<Intercept> {
        let is_near = Url::parse(&uri.to_string()).is_ok_and(|url| HttpSettings::is_near(&url));
        self.proxies.intercept(uri).filter(|_| !is_near)
    }
}

impl Service<Uri> for ProxyConnector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Boxed<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Some(proxy) = self.proxy(&uri) else {
            let direct = self.tcp.call(uri);
            return Box::pin(async move { Ok(MaybeHttpsStream::Http(direct.await?)) });
        };
        let (tcp, to_proxy) = (self.tcp.clone(), self.to_proxy.clone());
        Box::pin(async move {
            let scheme = proxy.uri().scheme_str().unwrap_or_default().to_owned();
            match &*scheme {
                "socks4" | "socks4a" | "socks5" | "socks5h" => {
                    let through = through_socks(&scheme, &proxy, tcp, uri).await?;
                    Ok(MaybeHttpsStream::Http(through))
                }
                _ => {
                    let mut tunnel = Tunnel::new(proxy.uri().clone(), to_proxy);
                    if let Some(credentials) = proxy.basic_auth() {
                        tunnel = tunnel.with_auth(credentials.clone());
                    }
                    // Without a port, the proxy could not tell where to connect to.
                    tunnel.call(with_port(uri)?).await.map_err(failed)
                }
            }
        })
    }
}

async fn through_socks(
    scheme: &str,
    proxy: &Intercept,
    tcp: TcpConnector,
    uri: Uri,
) -> Result<TokioIo<TcpStream>, BoxError> {
    let host = proxy.uri().host().unwrap_or_default();
    let port = proxy.uri().port_u16().unwrap_or(SOCKS_PORT);
    let at = address(&format!("{host}:{port}"))?;
    // With these two, the name is resolved here.
    let uri = match scheme {
        "socks4" | "socks5" => {
            let port = with_port(uri.clone())?.port_u16().unwrap_or_default();
            let mut found = Names::first(uri.host().unwrap_or_default()).await?;
            found.set_port(port);
            address(&found.to_string())?
        }
        _ => uri,
    };
    match scheme {
        "socks4" | "socks4a" => SocksV4::new(at, tcp).call(uri).await.map_err(failed),
        _ => {
            let mut socks = SocksV5::new(at, tcp);
            if let Some((user, password)) = proxy.raw_auth() {
                socks = socks.with_auth(user.into(), password.into());
            }
            socks.call(uri).await.map_err(failed)
        }
    }
}

/// `scheme` does not matter: neither proxy nor connector looks at it.
fn address(authority: &str) -> Result<Uri, BoxError> {
    let uri = Uri::builder().scheme("https").authority(authority);
    Ok(uri.path_and_query("/").build()?)
}

fn with_port(uri: Uri) -> Result<Uri, BoxError> {
    if uri.port().is_some() {
        return Ok(uri);
    }
    let port = match uri.scheme_str() {
        Some("http") => 80,
        _ => 443,
    };
    address(&format!("{}:{port}", uri.host().unwrap_or_default()))
}

/// Keeps that a proxy is the sidecar itself; everything else about the way to the proxy is the proxy's.
fn failed<E: fmt::Debug>(error: E) -> BoxError {
    // hyper-util does not export the types of these errors.
    let shown = format!("{error:?}");
    if shown.contains("IsLoop") {
        return IsLoop.into();
    }
    let asks = ["ProxyAuthRequired", "V5(Auth("];
    match asks.iter().any(|one| shown.contains(one)) {
        true => ProxyFailed::Unauthenticated.into(),
        false => ProxyFailed::Unreachable.into(),
    }
}
