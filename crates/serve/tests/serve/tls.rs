//! TLS to the API: who is trusted, and that nothing is sent to others.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use biped_serve::Server;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
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
    let certificate = params.self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let read = Arc::new(AtomicUsize::new(0));
    let count = read.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, count) = (acceptor.clone(), count.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut head = [0; 4096];
                while matches!(stream.read(&mut head).await, Ok(read) if read > 0) {
                    count.fetch_add(1, Ordering::SeqCst);
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
                    stream.write_all(answer).await.unwrap();
                }
            });
        }
    });
    (port, certificate.pem(), read)
}

async fn ask(stage: &Stage, port: u16, trusted: Option<&str>) -> Answer {
    let http = trusted.map_or_else(String::new, |pem| {
        format!("[http]\nextra_ca = '''{pem}'''\n")
    });
    let toml = format!(
        "[serve]\nlisten = ['127.0.0.1:0']\n[providers.x]\nkind = 'oauth2'\n\
         token_endpoint = 'http://{}/token'\napi_base_url = 'https://localhost:{port}'\n\
         client_id = 'a'\nclient_secret = 'b'\n{http}",
        stage.vendor.address
    );
    let running = Server::new(biped(&toml)).start().await.unwrap();
    let stream = TcpStream::connect(address(&running.addresses()[0]))
        .await
        .unwrap();
    Caller::new(stream).ask("GET /x/y", "").await
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
