//! Proxies between the sidecar and the API, for all providers or for one.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use biped_serve::Server;
use rcgen::KeyPair;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
};

use crate::{
    stage::{Answer, Caller, Stage, address, biped},
    tls::{named, server},
};

const API: &str = "api.vendor.example";
const USER: &str = "me";
const PASSWORD: &str = "planted-word";
/// The two in Base64.
const BASIC: &str = "Basic bWU6cGxhbnRlZC13b3Jk";

/// What a proxy was asked to connect to.
type Asked = Arc<Mutex<Vec<String>>>;

/// A proxy for CONNECT, which leads every name to a port of this machine.
async fn connect(mut near: impl AsyncRead + AsyncWrite + Unpin, port: u16, asked: Asked) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = near.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    if !head.contains(BASIC) {
        let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
        near.write_all(answer).await.unwrap();
        return;
    }
    let line = head.lines().next().unwrap();
    asked.lock().unwrap().push(line.to_owned());
    near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let _ = copy_bidirectional(&mut near, &mut far).await;
}

/// A SOCKS5 proxy with a user name and a password (RFC 1928, RFC 1929).
async fn socks5(mut near: TcpStream, port: u16, asked: Asked) {
    let mut greeting = [0; 3];
    near.read_exact(&mut greeting).await.unwrap();
    assert_eq!(greeting, [5, 1, 2], "user name and password");
    near.write_all(&[5, 2]).await.unwrap();
    let mut proof = vec![0; 3 + USER.len() + PASSWORD.len()];
    near.read_exact(&mut proof).await.unwrap();
    let is_right = proof.ends_with(PASSWORD.as_bytes());
    near.write_all(&[1, u8::from(!is_right)]).await.unwrap();
    let mut head = [0; 5];
    if near.read_exact(&mut head).await.is_err() {
        return;
    }
    assert_eq!(head[..4], [5, 1, 0, 3], "CONNECT by name");
    let mut name = vec![0; usize::from(head[4]) + 2];
    near.read_exact(&mut name).await.unwrap();
    name.truncate(head[4].into());
    asked.lock().unwrap().push(String::from_utf8(name).unwrap());
    let granted = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    near.write_all(&granted).await.unwrap();
    let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let _ = copy_bidirectional(&mut near, &mut far).await;
}

/// The address of a proxy of this scheme, what it is asked, and the certificate that it presents.
async fn proxy(scheme: &str, port: u16) -> (SocketAddr, Asked, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let asked = Asked::default();
    let key = KeyPair::generate().unwrap();
    let certificate = named("localhost").self_signed(&key).unwrap();
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
    let (scheme, told) = (scheme.to_owned(), asked.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, told) = (acceptor.clone(), told.clone());
            let scheme = scheme.clone();
            tokio::spawn(async move {
                match &*scheme {
                    "http" => connect(stream, port, told).await,
                    "https" => {
                        let stream = acceptor.accept(stream).await.unwrap();
                        connect(stream, port, told).await;
                    }
                    _ => socks5(stream, port, told).await,
                }
            });
        }
    });
    (at, asked, certificate.pem())
}

/// The answer to a call of an API, with these lines of `[http]`, and these of its provider.
async fn ask(stage: &Stage, base: &str, http: &str, provider: &str) -> Answer {
    let toml = format!(
        "[serve]\nlisten = ['127.0.0.1:0']\n[http]\nconnect_timeout = 5\n{http}\n\
         [providers.x]\nkind = 'oauth2'\ntoken_endpoint = 'http://{}/token'\n\
         api_base_url = 'https://{base}'\nclient_id = 'a'\nclient_secret = 'b'\n{provider}\n",
        stage.vendor.address
    );
    let running = Server::new(biped(&toml)).start().await.unwrap();
    let stream = TcpStream::connect(address(&running.addresses()[0]))
        .await
        .unwrap();
    Caller::new(stream).ask("GET /x/y", "").await
}

fn trusting(pem: &str) -> String {
    format!("extra_ca = '''{pem}'''")
}

#[tokio::test]
async fn calls_go_through_a_proxy_of_each_scheme() {
    let stage = Stage::new().await;
    let (port, pem, _) = server(named(API)).await;
    for (scheme, expected) in [
        ("http", "CONNECT api.vendor.example:443 HTTP/1.1"),
        ("https", "CONNECT api.vendor.example:443 HTTP/1.1"),
        ("socks5h", API),
    ] {
        let (at, asked, own) = proxy(scheme, port).await;
        let url = format!("{scheme}://{USER}:{PASSWORD}@localhost:{}", at.port());
        let http = trusting(&format!("{pem}{own}"));
        let provider = format!("http.proxy = '{url}'");
        let answer = ask(&stage, API, &http, &provider).await;
        assert_eq!((answer.status, &*answer.text()), (200, "hi"), "{scheme}");
        assert_eq!(*asked.lock().unwrap(), [expected], "{scheme}");
    }
}

#[tokio::test]
async fn a_provider_without_a_proxy_of_its_own_uses_that_of_all() {
    let stage = Stage::new().await;
    let (port, pem, _) = server(named(API)).await;
    let (at, asked, _) = proxy("http", port).await;
    let all = format!("proxy = 'http://{USER}:{PASSWORD}@{at}'");
    let provider = format!("http = {{ timeout = 3, {} }}", trusting(&pem));
    let answer = ask(&stage, API, &all, &provider).await;
    assert_eq!((answer.status, &*answer.text()), (200, "hi"));
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_without_its_password() {
    let stage = Stage::new().await;
    let (port, pem, read) = server(named(API)).await;
    for scheme in ["http", "socks5h"] {
        let (at, _, _) = proxy(scheme, port).await;
        let wrong = "hunter2-hunt";
        let provider = format!("http.proxy = '{scheme}://{USER}:{wrong}@{at}'");
        let answer = ask(&stage, API, &trusting(&pem), &provider).await;
        assert_eq!(answer.problem(), (502, "unreachable".into(), false));
        let text = answer.text();
        assert!(
            text.contains("proxy") && text.contains("password"),
            "{text}"
        );
        assert!(!text.contains(wrong), "{text}");
    }
    let gone = "http.proxy = 'http://127.0.0.1:1'";
    let answer = ask(&stage, API, &trusting(&pem), gone).await;
    assert_eq!(answer.problem(), (502, "unreachable".into(), false));
    assert!(
        answer.text().contains("check the proxy"),
        "{}",
        answer.text()
    );
    assert_eq!(read.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_api_on_this_machine_is_called_without_the_proxy() {
    let stage = Stage::new().await;
    let (port, pem, _) = server(named("localhost")).await;
    let http = format!("{}\nproxy = 'http://127.0.0.1:1'", trusting(&pem));
    let answer = ask(&stage, &format!("localhost:{port}"), &http, "").await;
    assert_eq!((answer.status, &*answer.text()), (200, "hi"));
}
