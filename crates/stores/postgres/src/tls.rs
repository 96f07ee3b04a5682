//! [`Tls`]: TLS by rustls. A certificate is always checked: its authority, and the name of the host.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

use crate::binding::end_point;

/// Makes TLS connections.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    /// Whether passwords are bound to the connection. Something in between that ends TLS would not pass.
    binds: bool,
}

impl Tls {
    /// `pem` holds the authorities to trust instead of the platform's. Returns what is wrong with them.
    pub(crate) fn new(pem: Option<&[u8]>, binds: bool) -> Result<Self, &'static str> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| "TLS can't be set up")?;
        let config = config.with_root_certificates(roots(pem)?);
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            binds,
        })
    }
}

fn roots(pem: Option<&[u8]>) -> Result<RootCertStore, &'static str> {
    let mut roots = RootCertStore::empty();
    match pem {
        None => {
            let platform = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(platform.certs);
        }
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let added = certificate.map(|certificate| roots.add(certificate));
                if !matches!(added, Ok(Ok(()))) {
                    return Err("the certificates are not certificates in PEM");
                }
            }
            if roots.is_empty() {
                return Err("the certificates are not certificates in PEM");
            }
        }
    }
    Ok(roots)
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Encrypted<S>;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Handshake> {
        Ok(Handshake {
            config: self.config.clone(),
            binds: self.binds,
            // A socket of the machine has no name, and is used without TLS.
            name: ServerName::try_from(host.to_owned()).ok(),
        })
    }
}

/// A handshake to come.
pub(crate) struct Handshake {
    config: Arc<ClientConfig>,
    binds: bool,
    name: Option<ServerName<'static>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Handshake {
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let name = self
                .name
                .ok_or_else(|| io::Error::other("the host has no name that TLS can check"))?;
            let connector = TlsConnector::from(self.config);
            let stream = connector.connect(name, stream).await?;
            let certificates = stream.get_ref().1.peer_certificates();
            let own = certificates.and_then(<[_]>::first).filter(|_| self.binds);
            Ok(Encrypted {
                end_point: own.and_then(|own| end_point(own)),
                stream: Box::new(stream),
            })
        })
    }
}

/// A connection with TLS.
pub(crate) struct Encrypted<S> {
    stream: Box<tokio_rustls::client::TlsStream<S>>,
    /// What a password is bound to, if it is to be bound.
    end_point: Option<Vec<u8>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        let bound = self
            .end_point
            .clone()
            .map(ChannelBinding::tls_server_end_point);
        bound.unwrap_or_else(ChannelBinding::none)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
