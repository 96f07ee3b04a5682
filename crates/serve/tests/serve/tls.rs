//! TLS to the API: who is trusted, and that nothing is sent to others.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use biped_serve::{Running, Server};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    LazyConfigAcceptor, TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer, server::Acceptor},
};

use crate::stage::{Answer, Caller, Stage, address, biped};

/// A server with a certificate of its own, which counts the requests that it can read.
pub(crate) async fn server(params: CertificateParams) -> (u16, String, Arc<AtomicUsize>) {
    server_with(params, KeyPair::generate().unwrap()).await
}

pub(crate) async fn server_with(
    params: CertificateParams,
    key: KeyPair,
) -> (u16, String, Arc<AtomicUsize>) {
    let (certificate, config) = certified(&params, &key);
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let read = Arc::new(AtomicUsize::new(0));
    let count = read.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, count) = (acceptor.clone(), count.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    greet(stream, &count).await;
                }
            });
        }
    });
    (port, certificate, read)
}

/// Answers each request, and counts it.
async fn greet(mut stream: impl AsyncRead + AsyncWrite + Unpin, count: &AtomicUsize) {
    let mut head = [0; 4096];
    while matches!(stream.read(&mut head).await, Ok(read) if read > 0) {
        count.fetch_add(1, Ordering::SeqCst);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        stream.write_all(answer).await.unwrap();
    }
}

/// A certificate as PEM, and a server's settings with it.
fn certified(params: &CertificateParams, key: &KeyPair) -> (String, ServerConfig) {
    let certificate = params.self_signed(key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (certificate.pem(), config)
}

async fn ask(stage: &Stage, port: u16, trusted: Option<&str>) -> Answer {
    let running = serving(stage, port, trusted).await;
    caller(&running).await.ask("GET /x/y", "").await
}

async fn serving(stage: &Stage, port: u16, trusted: Option<&str>) -> Running {
    let http = trusted.map_or_else(String::new, |pem| {
        format!("[http]\nextra_ca = '''{pem}'''\n")
    });
    let toml = format!(
        "[serve]\nlisten = ['127.0.0.1:0']\n[providers.x]\nkind = 'oauth2'\n\
         token_endpoint = 'http://{}/token'\napi_base_url = 'https://localhost:{port}'\n\
         client_id = 'a'\nclient_secret = 'b'\n{http}",
        stage.vendor.address
    );
    Server::new(biped(&toml)).start().await.unwrap()
}

async fn caller(running: &Running) -> Caller<TcpStream> {
    let address = address(&running.addresses()[0]);
    Caller::new(TcpStream::connect(address).await.unwrap())
}

pub(crate) fn named(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

#[tokio::test]
async fn a_certificate_of_the_configuration_is_trusted() {
    let stage = Stage::new().await;
    let (port, pem, read) = server(named("localhost")).await;
    let answer = ask(&stage, port, Some(&pem)).await;
    assert_eq!((answer.status, &*answer.text()), (200, "hi"));
    assert_eq!(read.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_untrusted_misnamed_or_expired_certificate_gets_no_token() {
    let stage = Stage::new().await;
    let mut expired = named("localhost");
    expired.not_before = date_time_ymd(2020, 1, 1);
    expired.not_after = date_time_ymd(2021, 1, 1);
    for (params, is_trusted) in [
        (named("localhost"), false),
        (named("other.example"), true),
        (expired, true),
    ] {
        let (port, pem, read) = server(params).await;
        let answer = ask(&stage, port, is_trusted.then_some(&*pem)).await;
        assert_eq!(answer.problem(), (502, "unreachable".into(), false));
        let status = answer.header("proxy-status").unwrap();
        assert!(status.contains("tls_certificate_error"), "{status}");
        assert_eq!(read.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn an_api_that_chose_http_1_1_is_not_offered_http_2_again() {
    let stage = Stage::new().await;
    let (pem, mut config) = certified(&named("localhost"), &KeyPair::generate().unwrap());
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let offers = Arc::new(Mutex::new(Vec::new()));
    let seen = offers.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let accepted = LazyConfigAcceptor::new(Acceptor::default(), stream).await;
            let accepted = accepted.unwrap();
            let offer = accepted.client_hello().alpn().into_iter().flatten();
            let offer: Vec<_> = offer
                .map(|it| String::from_utf8_lossy(it).into_owned())
                .collect();
            seen.lock().unwrap().push(offer.join(" "));
            let stream = accepted.into_stream(config.clone()).await.unwrap();
            tokio::spawn(async move { greet(stream, &AtomicUsize::new(0)).await });
        }
    });
    let running = serving(&stage, port, Some(&pem)).await;
    let mut caller = caller(&running).await;
    for _ in 0..3 {
        let answer = caller.ask("GET /x/y", "").await;
        assert_eq!((answer.status, &*answer.text()), (200, "hi"));
    }
    let offers = offers.lock().unwrap();
    let (first, later) = offers.split_first().unwrap();
    assert_eq!(first, "h2 http/1.1");
    let is_offered = later.iter().any(|offer| offer.contains("h2"));
    assert!(!later.is_empty() && !is_offered, "{later:?}");
}
