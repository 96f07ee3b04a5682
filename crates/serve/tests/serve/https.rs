//! TLS of callers' connections, and callers that prove themselves with a certificate.

use std::{net::SocketAddr, path::Path, sync::Arc};

use biped_serve::{Running, Server};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    },
};

use crate::stage::{Answer, Caller, Stage, biped, provider, until};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key, as PEM.
fn issue(by: &Authority, names: Vec<SanType>) -> (String, String) {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, by).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

/// A sidecar with a certificate for `sidecar.test`, in files that may be replaced.
struct Encrypted {
    stage: Stage,
    directory: tempfile::TempDir,
    servers: Authority,
    callers: Authority,
    running: Running,
    at: SocketAddr,
}

fn replace(directory: &Path, (certificate, key): &(String, String)) {
    std::fs::write(directory.join("tls.crt"), certificate).unwrap();
    std::fs::write(directory.join("tls.key"), key).unwrap();
}

impl Encrypted {
    async fn at(listen: &str, rest: &str) -> Self {
        let stage = Stage::new().await;
        let (servers, callers) = (authority(), authority());
        let directory = tempfile::tempdir().unwrap();
        replace(
            directory.path(),
            &issue(&servers, vec![dns("sidecar.test")]),
        );
        std::fs::write(directory.path().join("ca.crt"), callers.pem()).unwrap();
        let toml = format!(
            "[serve]\nlisten = ['{listen}']\n{}{rest}\n{}",
            tls(directory.path()),
            provider(&stage.vendor)
        );
        let running = Server::new(biped(&toml)).start().await.unwrap();
        let shown = running.addresses().remove(0);
        let shown = shown.strip_prefix("https://").unwrap();
        let port = shown.parse::<SocketAddr>().unwrap().port();
        Self {
            at: SocketAddr::from(([127, 0, 0, 1], port)),
            running,
            stage,
            directory,
            servers,
            callers,
        }
    }

    /// A connection of a caller with this certificate, if it has one.
    async fn connect(
        &self,
        own: Option<&(String, String)>,
        protocol: &[u8],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.servers.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                use tokio_rustls::rustls::pki_types::pem::PemObject;
                let chain = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![chain], key).unwrap()
            }
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(self.at).await?;
        let name = ServerName::try_from("sidecar.test").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }

    async fn get(&self, own: Option<&(String, String)>, path: &str, headers: &str) -> u16 {
        let answer = self.ask(own, path, headers).await;
        answer.map_or(0, |answer| answer.status)
    }

    async fn ask(
        &self,
        own: Option<&(String, String)>,
        path: &str,
        headers: &str,
    ) -> Option<Answer> {
        let stream = self.connect(own, b"http/1.1").await.unwrap();
        let mut caller = Caller::new(stream);
        let head = format!("GET {path} HTTP/1.1\r\nHost: sidecar.test\r\n{headers}\r\n");
        caller.write(head).await;
        caller.next().await
    }
}

fn tls(directory: &Path) -> String {
    let at = |name: &str| directory.join(name).display().to_string();
    format!(
        "tls = {{ certificate = 'file:{}', key = 'file:{}', client_ca = 'file:{}' }}\n",
        at("tls.crt"),
        at("tls.key"),
        at("ca.crt")
    )
}

#[tokio::test]
async fn an_https_listener_speaks_both_versions_by_alpn() {
    let sidecar = Encrypted::at("127.0.0.1:0", "").await;
    assert_eq!(sidecar.get(None, "/shop/x", "").await, 200);

    let stream = sidecar.connect(None, b"h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Empty<bytes::Bytes>>(
            TokioExecutor::new(),
            io,
        )
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://sidecar.test/shop/y").body(Empty::new());
    let answer = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(sidecar.stage.vendor.got().len(), 2);
}

#[tokio::test]
async fn without_tls_an_https_listener_answers_nothing() {
    let sidecar = Encrypted::at("127.0.0.1:0", "").await;
    let mut caller = Caller::new(TcpStream::connect(sidecar.at).await.unwrap());
    caller
        .write("GET /shop/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert!(caller.head().await.is_none());
    assert!(sidecar.stage.vendor.got().is_empty());
}

#[tokio::test]
async fn the_metadata_of_an_https_listener_leads_to_https() {
    let sidecar = Encrypted::at("127.0.0.1:0", "tokens = 'any'\n").await;
    let path = "/-/oauth/shop/.well-known/oauth-authorization-server";
    let json = sidecar.ask(None, path, "").await.unwrap().json();
    assert_eq!(json["issuer"], "https://sidecar.test/-/oauth/shop");
}

#[tokio::test]
async fn a_page_of_the_listener_itself_may_call() {
    let sidecar = Encrypted::at("127.0.0.1:0", "").await;
    let origin = |origin: &str| format!("Origin: {origin}\r\n");
    let own = sidecar
        .get(None, "/shop/x", &origin("https://sidecar.test"))
        .await;
    let plain = sidecar
        .get(None, "/shop/x", &origin("http://sidecar.test"))
        .await;
    assert_eq!((own, plain), (200, 403));
}

#[tokio::test]
async fn a_callers_certificate_proves_it_by_one_of_its_names() {
    let named = |name: &str, certificate: &str| {
        format!("[[serve.callers]]\nname = '{name}'\ncertificate = '{certificate}'\n")
    };
    let callers = [
        named("job", "spiffe://example.org/job"),
        named("app", "app.internal"),
        named("host", "10.1.2.3"),
        "[[serve.callers]]\nname = 'sdk'\ntoken = 'secret-sdk'\n".to_owned(),
    ];
    let sidecar = Encrypted::at("127.0.0.1:0", &callers.concat()).await;
    let ca = &sidecar.callers;
    for names in [
        vec![uri("spiffe://example.org/job")],
        vec![dns("other.internal"), dns("APP.internal")],
        vec![SanType::IpAddress([10, 1, 2, 3].into())],
    ] {
        let own = issue(ca, names.clone());
        assert_eq!(
            sidecar.get(Some(&own), "/shop/x", "").await,
            200,
            "{names:?}"
        );
    }
    for names in [
        vec![uri("spiffe://example.org/job/other")],
        vec![dns("*.internal")],
        vec![dns("app.internal.evil.example")],
        vec![SanType::IpAddress([10, 1, 2, 4].into())],
    ] {
        let own = issue(ca, names.clone());
        assert_eq!(
            sidecar.get(Some(&own), "/shop/x", "").await,
            401,
            "{names:?}"
        );
        // One credential that is right suffices.
        let token = "Biped-Caller: secret-sdk\r\n";
        assert_eq!(sidecar.get(Some(&own), "/shop/x", token).await, 200);
    }
    assert_eq!(sidecar.get(None, "/shop/x", "").await, 401);
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_no_connection() {
    let caller = "[[serve.callers]]\nname = 'app'\ncertificate = 'app.internal'\n";
    let sidecar = Encrypted::at("127.0.0.1:0", caller).await;
    let forged = issue(&authority(), vec![dns("app.internal")]);
    let answer = match sidecar.connect(Some(&forged), b"http/1.1").await {
        Err(_) => None,
        Ok(mut stream) => {
            let head = b"GET /shop/x HTTP/1.1\r\nHost: sidecar.test\r\n\r\n";
            let _ = stream.write_all(head).await;
            Caller::new(stream).head().await
        }
    };
    assert_eq!(answer, None);
    assert!(sidecar.stage.vendor.got().is_empty());
}

#[tokio::test]
async fn a_new_certificate_serves_new_connections() {
    let sidecar = Encrypted::at("127.0.0.1:0", "").await;
    let mut old = Caller::new(sidecar.connect(None, b"http/1.1").await.unwrap());
    let shown = async || {
        let stream = sidecar.connect(None, b"http/1.1").await.unwrap();
        let chain = stream.get_ref().1.peer_certificates().unwrap();
        chain[0].clone()
    };
    let first = shown().await;
    let next = issue(
        &sidecar.servers,
        vec![dns("sidecar.test"), dns("next.test")],
    );
    replace(sidecar.directory.path(), &next);
    until("another certificate is shown", async || {
        shown().await != first
    })
    .await;
    let head = "GET /shop/x HTTP/1.1\r\nHost: sidecar.test\r\n\r\n";
    old.write(head).await;
    assert_eq!(old.answer().await.status, 200);
}

#[tokio::test]
async fn other_machines_may_connect_where_tls_and_callers_guard_the_address() {
    let caller = "[[serve.callers]]\nname = 'app'\ntoken = 'secret-a'\n";
    let sidecar = Encrypted::at("0.0.0.0:0", caller).await;
    assert!(sidecar.running.notes().is_empty());
    let token = "Biped-Caller: secret-a\r\n";
    assert_eq!(sidecar.get(None, "/shop/x", token).await, 200);
    assert_eq!(sidecar.get(None, "/shop/x", "").await, 401);
    // What is for everybody on loopback is not for other machines.
    assert_eq!(sidecar.get(None, "/-/status", "").await, 401);
    assert_eq!(sidecar.get(None, "/-/status", token).await, 200);
    assert_eq!(sidecar.get(None, "/-/ready", "").await, 200);
    let stream = sidecar.connect(None, b"http/1.1").await.unwrap();
    let answer = Caller::new(stream).ask("GET /shop/x", token).await;
    assert_eq!(answer.problem(), (421, "wrong-host".into(), false));

    let at = sidecar.directory.path();
    let api = provider(&sidecar.stage.vendor);
    for guards in [tls(at), caller.to_owned()] {
        let toml = format!("[serve]\nlisten = ['0.0.0.0:0']\n{guards}\n{api}");
        let error = Server::new(biped(&toml)).start().await.unwrap_err();
        assert_eq!(error.kind(), biped::ErrorKind::Configuration);
    }
}

#[tokio::test]
async fn an_api_at_an_address_of_a_wildcard_listener_is_a_loop() {
    let caller = "[[serve.callers]]\nname = 'app'\ntoken = 'secret-a'\n";
    let sidecar = Encrypted::at("0.0.0.0:0", caller).await;
    let port = sidecar.at.port();
    let at = sidecar.stage.vendor.address;
    let more = format!(
        "[providers.own]\nkind = 'oauth2'\ntoken_endpoint = 'http://{at}/token'\nclient_id = 'a'\n\
         client_secret = 'b'\napi_base_url = 'http://127.0.0.1:{port}'\n"
    );
    let toml = format!(
        "[serve]\nlisten = ['0.0.0.0:{port}']\n{}{caller}{more}",
        tls(sidecar.directory.path())
    );
    sidecar.running.stop(false).await;
    let running = Server::new(biped(&toml)).start().await.unwrap();
    let again = Encrypted { running, ..sidecar };
    let answer = again
        .get(None, "/own/x", "Biped-Caller: secret-a\r\n")
        .await;
    assert_eq!(answer, 508);
}

#[tokio::test]
async fn what_can_not_be_used_is_told_at_the_start() {
    let sidecar = Encrypted::at("127.0.0.1:0", "").await;
    let directory = sidecar.directory.path();
    let (good, other) = (
        issue(&sidecar.servers, vec![dns("sidecar.test")]),
        issue(&sidecar.servers, vec![dns("sidecar.test")]),
    );
    let api = provider(&sidecar.stage.vendor);
    for files in [
        (good.0.clone(), other.1.clone()),
        (good.1.clone(), good.1.clone()),
        (good.0.clone(), good.0.clone()),
        (String::from("a"), good.1.clone()),
    ] {
        replace(directory, &files);
        let toml = format!("[serve]\nlisten = ['127.0.0.1:0']\n{}{api}", tls(directory));
        let error = Server::new(biped(&toml)).start().await.unwrap_err();
        assert_eq!(error.kind(), biped::ErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains("serve.tls"), "{error}");
        assert!(!error.to_string().contains("BEGIN"), "{error}");
    }
    let toml = format!(
        "[serve]\nlisten = ['127.0.0.1:0']\n[[serve.callers]]\nname = 'a'\n\
         certificate = 'app.internal'\n{api}"
    );
    let error = Server::new(biped(&toml)).start().await.unwrap_err();
    assert!(error.to_string().contains("client_ca"), "{error}");
}
