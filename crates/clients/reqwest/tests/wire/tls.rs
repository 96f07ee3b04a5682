use std::sync::Arc;

use biped_core::{ClientIdentity, Error, ErrorKind, HttpClient};
use biped_reqwest::{HttpSettings, TokenClient};
use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer},
        server::WebPkiClientVerifier,
    },
};

use crate::{everything, servers::head};

/// A private CA, as a company has one.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

pub(crate) struct Leaf {
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn settings(&self) -> HttpSettings {
        HttpSettings::new().extra_ca(self.0.pem())
    }

    pub(crate) fn leaf(&self, name: &str) -> Leaf {
        self.leaf_with(name, |_| {})
    }

    fn leaf_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Leaf {
            certificate: certificate.der().clone(),
            pem: certificate.pem(),
            key,
        }
    }

    /// Starts a server that returns the client certificate of each request's connection, or an empty
    /// body where the client sent none. Returns the server's origin, at the name of `leaf`.
    pub(crate) async fn serve(&self, leaf: &Leaf, asks_for_certificate: bool) -> String {
        let config = ServerConfig::builder();
        let config = if asks_for_certificate {
            let mut roots = RootCertStore::empty();
            roots.add(self.0.der().clone()).unwrap();
            config.with_client_cert_verifier(
                WebPkiClientVerifier::builder(roots.into()).build().unwrap(),
            )
        } else {
            config.with_no_client_auth()
        };
        let config = config
            .with_single_cert(vec![leaf.certificate.clone()], leaf.private_key())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    loop {
                        if head(&mut stream).await.is_empty() {
                            return;
                        }
                        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
                        let shown = shown.first().map(|der| der.to_vec()).unwrap_or_default();
                        let head =
                            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", shown.len());
                        stream
                            .write_all(&[head.as_bytes(), &shown].concat())
                            .await
                            .unwrap();
                    }
                });
            }
        });
        format!("https://localhost:{port}")
    }
}

impl Leaf {
    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }

    /// A TLS server with this certificate that speaks HTTP/2 only.
    pub(crate) fn http2(&self) -> TlsAcceptor {
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.private_key())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    pub(crate) fn identity(&self) -> ClientIdentity {
        ClientIdentity::from_pem(format!("{}\n{}", self.pem, self.key.serialize_pem()))
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.certificate
    }
}

async fn get(
    client: &TokenClient,
    url: &str,
    identity: Option<ClientIdentity>,
) -> Result<Bytes, Error> {
    let mut request = http::Request::get(url).body(Bytes::new()).unwrap();
    if let Some(identity) = identity {
        request.extensions_mut().insert(identity);
    }
    client.send(request).await.map(http::Response::into_body)
}

#[tokio::test]
async fn a_private_ca_is_trusted_only_when_given() {
    let ca = Ca::new();
    let origin = ca.serve(&ca.leaf("localhost"), false).await;

    let client = TokenClient::with(ca.settings()).unwrap();
    assert_eq!(get(&client, &origin, None).await.unwrap(), "");

    let error = get(&TokenClient::new().unwrap(), &origin, None)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.is_transient()),
        (ErrorKind::Unreachable, true)
    );
    assert!(error.remedy().unwrap().contains("extra_ca"), "{error}");
}

#[tokio::test]
async fn certificates_and_keys_may_be_on_one_line_with_text_around_them() {
    let ca = Ca::new();
    let (server, client) = (ca.leaf("localhost"), ca.leaf("client"));
    let origin = ca.serve(&server, true).await;
    let one_line = |pem: &str| pem.replace('\n', "\\n");
    let latin1 = [b"M\xfcller\n".as_slice(), one_line(&ca.0.pem()).as_bytes()].concat();
    let http = TokenClient::with(HttpSettings::new().extra_ca(latin1)).unwrap();
    let pem = format!(
        "{}\n{}",
        one_line(client.pem()),
        one_line(&client.key_pem())
    );
    let identity = Some(ClientIdentity::from_pem(pem));
    let seen = get(&http, &origin, identity).await.unwrap();
    assert_eq!(seen, client.der());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let ca = Ca::new();
    let origin = ca.serve(&ca.leaf("other.example"), false).await;
    let client = TokenClient::with(ca.settings()).unwrap();
    let error = get(&client, &origin, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.message().contains("other.example"), "{error}");
    assert!(error.remedy().unwrap().contains("host"), "{error}");
}

#[tokio::test]
async fn a_certificate_out_of_its_time_is_told_as_that() {
    let ca = Ca::new();
    let client = TokenClient::with(ca.settings()).unwrap();
    for ((from, to), told) in [
        (((2001, 1), (2002, 1)), "has expired"),
        (((3001, 1), (3002, 1)), "not valid yet"),
    ] {
        let leaf = ca.leaf_with("localhost", |params| {
            params.not_before = date_time_ymd(from.0, from.1, 1);
            params.not_after = date_time_ymd(to.0, to.1, 1);
        });
        let origin = ca.serve(&leaf, false).await;
        let error = get(&client, &origin, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.message().contains(told), "{error}");
        assert!(error.remedy().unwrap().contains("clock"), "{error}");
    }
}

/// A server that sends these bytes in place of its part of a TLS handshake.
async fn in_place_of_tls(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // The client's record is read, so that closing does not reset the connection.
                let mut head = [0; 5];
                stream.read_exact(&mut head).await.unwrap();
                let mut record = vec![0; u16::from_be_bytes([head[3], head[4]]).into()];
                stream.read_exact(&mut record).await.unwrap();
                stream.write_all(bytes).await.unwrap();
            });
        }
    });
    format!("https://localhost:{port}")
}

#[tokio::test]
async fn the_reason_of_a_failed_handshake_is_in_the_message() {
    const PROTOCOL_VERSION: &[u8] = &[21, 3, 1, 0, 2, 2, 70];
    const HANDSHAKE_FAILURE: &[u8] = &[21, 3, 3, 0, 2, 2, 40];
    const UNRECOGNISED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];
    let client = TokenClient::new().unwrap();
    for (bytes, told) in [
        (PROTOCOL_VERSION, "TLS 1.2"),
        (HANDSHAKE_FAILURE, "HandshakeFailure"),
        (UNRECOGNISED_NAME, "UnrecognisedName"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS"),
    ] {
        let origin = in_place_of_tls(bytes).await;
        let error = get(&client, &origin, None).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.is_transient()),
            (ErrorKind::Unreachable, true)
        );
        assert!(error.message().contains(told), "{error}");
        assert!(error.message().contains("localhost"), "{error}");
        // Only to this machine plain http is allowed.
        let remedy = error.remedy().unwrap_or_default();
        assert_eq!(remedy.contains("http://"), told == "does not speak TLS");
    }
}

#[tokio::test]
async fn a_server_that_wants_a_client_certificate_is_told_as_that() {
    let ca = Ca::new();
    let origin = ca.serve(&ca.leaf("localhost"), true).await;
    let client = TokenClient::with(ca.settings()).unwrap();
    let error = get(&client, &origin, None).await.unwrap_err();
    assert!(error.message().contains("CertificateRequired"), "{error}");
    assert!(
        error.remedy().unwrap().contains("client certificate"),
        "{error}"
    );
}

#[tokio::test]
async fn each_identity_has_connections_of_its_own() {
    let ca = Ca::new();
    let origin = ca.serve(&ca.leaf("localhost"), true).await;
    let client = TokenClient::with(ca.settings()).unwrap();
    let (a, b) = (ca.leaf("a.example"), ca.leaf("b.example"));
    for leaf in [&a, &b, &a, &b] {
        let shown = get(&client, &origin, Some(leaf.identity())).await.unwrap();
        assert_eq!(shown, leaf.der());
    }
    let error = get(&client, &origin, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
}

#[tokio::test]
async fn an_identity_that_is_no_pem_is_a_configuration_error_without_its_text() {
    let ca = Ca::new();
    let client = TokenClient::with(ca.settings()).unwrap();
    for pem in [
        "planted",
        "-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----",
    ] {
        let identity = ClientIdentity::from_pem(pem);
        let error = get(&client, "https://localhost:1", Some(identity))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(!everything(&error).contains("planted"), "{error:?}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_key_is_told_as_that() {
    let ca = Ca::new();
    let client = TokenClient::with(ca.settings()).unwrap();
    let (one, other) = (ca.leaf("a.example"), ca.leaf("b.example"));
    let pem = format!("{}\n{}", one.pem(), other.key_pem());
    let identity = Some(ClientIdentity::from_pem(pem));
    let error = get(&client, "https://localhost:1", identity)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("certificate_key"), "{error}");
}

#[test]
fn a_ca_that_is_no_pem_is_a_configuration_error() {
    for pem in [
        "",
        "planted",
        "-----BEGIN CERTIFICATE-----\nplanted\n-----END CERTIFICATE-----",
    ] {
        let error = TokenClient::with(HttpSettings::new().extra_ca(pem)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(!everything(&error).contains("planted"), "{error:?}");
    }
}
