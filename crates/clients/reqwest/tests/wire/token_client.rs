use std::{process::Command, time::Duration};

use biped_core::{Error, ErrorKind, HttpClient};
use biped_reqwest::{HttpSettings, TokenClient};
use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any, body_string, header, method, path},
};

use crate::{
    everything,
    servers::{no_server, raw, write_and_stall},
    sooner_than,
};

const SHORT: Duration = Duration::from_millis(100);

async fn post(client: &TokenClient, url: impl AsRef<str>) -> Result<http::Response<Bytes>, Error> {
    let request = http::Request::post(url.as_ref())
        .body(Bytes::from_static(b"a=b"))
        .unwrap();
    client.send(request).await
}

async fn failure(settings: HttpSettings, url: impl AsRef<str>) -> Error {
    post(&TokenClient::with(settings).unwrap(), url)
        .await
        .unwrap_err()
}

#[tokio::test]
async fn any_status_is_an_answer() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/token"))
        .and(header(
            "user-agent",
            concat!("biped/", env!("CARGO_PKG_VERSION")),
        ))
        .and(body_string("a=b"))
        .respond_with(
            ResponseTemplate::new(503)
                .insert_header("Retry-After", "7")
                .set_body_string("busy"),
        )
        .mount(&server)
        .await;

    let client = TokenClient::new().unwrap();
    let answer = post(&client, format!("{}/token", server.uri()))
        .await
        .unwrap();

    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "7");
    assert_eq!(answer.body(), "busy");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let elsewhere = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200))
        .expect(0)
        .mount(&elsewhere)
        .await;
    for status in [301, 302, 303, 307, 308] {
        let server = MockServer::start().await;
        Mock::given(any())
            .respond_with(ResponseTemplate::new(status).insert_header("Location", elsewhere.uri()))
            .expect(1)
            .mount(&server)
            .await;
        let answer = post(&TokenClient::new().unwrap(), server.uri())
            .await
            .unwrap();
        assert_eq!(answer.status(), status);
    }
}

#[tokio::test]
async fn a_redirect_to_the_same_origin_is_not_followed_either() {
    let server = MockServer::start().await;
    Mock::given(path("/token"))
        .respond_with(ResponseTemplate::new(307).insert_header("Location", "/other"))
        .mount(&server)
        .await;
    Mock::given(path("/other"))
        .respond_with(ResponseTemplate::new(200))
        .expect(0)
        .mount(&server)
        .await;
    let client = TokenClient::new().unwrap();
    assert_eq!(
        post(&client, format!("{}/token", server.uri()))
            .await
            .unwrap()
            .status(),
        307
    );
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_read() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_bytes(vec![b'x'; 1024 * 1024]))
        .mount(&server)
        .await;
    let answer = post(&TokenClient::new().unwrap(), server.uri())
        .await
        .unwrap();
    assert_eq!(answer.body().len(), 1024 * 1024);
}

#[tokio::test]
async fn a_body_announced_as_too_large_is_not_read() {
    let origin = raw(|stream, _| {
        write_and_stall(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n")
    })
    .await;
    let error = failure(HttpSettings::new(), origin).await;
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert!(!error.is_transient());
    assert_eq!(error.vendor().unwrap().status, Some(200));
}

#[tokio::test]
async fn an_endless_body_is_given_up_at_the_limit() {
    let origin = raw(async |mut stream, _| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        while stream.write_all(b"4\r\nmore\r\n").await.is_ok() {}
    })
    .await;
    let error = failure(HttpSettings::new().max_body(10_000), origin).await;
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    assert_eq!(error.vendor().unwrap().status, Some(200));
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_body_cut_off_is_transient() {
    let origin = raw(async |mut stream, _| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"acc")
            .await
            .unwrap();
    })
    .await;
    let error = failure(HttpSettings::new(), origin).await;
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.is_transient());
    assert!(!everything(&error).contains("acc"), "{error:?}");
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_transient() {
    let origin = raw(async |_, _| {}).await;
    let error = failure(HttpSettings::new(), origin).await;
    assert_eq!(
        (error.kind(), error.is_transient()),
        (ErrorKind::Unreachable, true)
    );
}

#[tokio::test]
async fn silence_ends_at_the_limit() {
    let origin = raw(|stream, _| write_and_stall(stream, "")).await;
    let by_default = failure(HttpSettings::new(), &origin);
    let error = failure(HttpSettings::new().timeout(SHORT), &origin);
    let error = sooner_than(by_default, error).await;
    assert_eq!(
        (error.kind(), error.is_transient()),
        (ErrorKind::Unreachable, true)
    );
}

#[tokio::test]
async fn the_time_limit_covers_the_body() {
    let origin =
        raw(|stream, _| write_and_stall(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"))
            .await;
    let by_default = failure(HttpSettings::new(), &origin);
    let error = failure(HttpSettings::new().timeout(SHORT), &origin);
    let error = sooner_than(by_default, error).await;
    assert_eq!(
        (error.kind(), error.is_transient()),
        (ErrorKind::Unreachable, true)
    );
}

#[tokio::test]
async fn errors_name_the_host_and_neither_query_nor_user() {
    let at = no_server();
    let port = at.rsplit(':').next().unwrap();
    let refused = format!("http://127.0.0.1:{port}/token?secret=planted");
    let unknown = "https://no-such-name.invalid/token?secret=planted";
    let stalls =
        raw(|stream, _| write_and_stall(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"))
            .await;
    for (url, place) in [
        (refused, format!("127.0.0.1:{port}")),
        (unknown.into(), "no-such-name.invalid".into()),
        (
            format!("{stalls}/?secret=planted"),
            stalls.replace("http://", ""),
        ),
    ] {
        let error = failure(HttpSettings::new().timeout(SHORT * 20), url).await;
        assert_eq!(
            (error.kind(), error.is_transient()),
            (ErrorKind::Unreachable, true)
        );
        assert!(error.message().contains(&place), "{error}");
        assert!(!everything(&error).contains("planted"), "{error:?}");
    }
}

#[tokio::test]
async fn an_address_that_is_no_url_is_a_configuration_error() {
    let error = failure(HttpSettings::new(), "/token").await;
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn a_given_proxy_is_used() {
    let proxy = MockServer::start().await;
    Mock::given(path("/token"))
        .and(header("host", "vendor.example"))
        .and(header("proxy-authorization", "Basic dXNlcjpwYXNz"))
        .respond_with(ResponseTemplate::new(200))
        .expect(1)
        .mount(&proxy)
        .await;
    let url = proxy.uri().replace("http://", "http://user:pass@");
    let client = TokenClient::with(HttpSettings::new().proxy(url)).unwrap();
    assert_eq!(
        post(&client, "http://vendor.example/token")
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn loopback_is_reached_without_the_proxy() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(204))
        .mount(&server)
        .await;
    let client = TokenClient::with(HttpSettings::new().proxy(no_server())).unwrap();
    assert_eq!(post(&client, server.uri()).await.unwrap().status(), 204);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_without_its_password() {
    let proxy = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(407))
        .mount(&proxy)
        .await;
    let url = proxy.uri().replace("http://", "http://user:planted@");
    let settings = HttpSettings::new().proxy(url);
    assert!(!format!("{settings:?}").contains("planted"));
    let client = TokenClient::with(settings).unwrap();
    assert!(!format!("{client:?}").contains("planted"));
    let error = post(&client, "https://vendor.example/token")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.message().contains("proxy"), "{error}");
    assert!(!everything(&error).contains("planted"), "{error:?}");
}

#[test]
fn a_proxy_that_is_no_url_is_a_configuration_error_without_its_text() {
    let error = TokenClient::with(HttpSettings::new().proxy("http://planted:planted@:x"));
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(!everything(&error).contains("planted"), "{error:?}");
}

const CHILD: &str = "BIPED_TEST_ENVIRONMENT_PROXY";

/// The environment can't be changed in a process with threads, so the test runs once more in one
/// of its own.
#[tokio::test]
async fn the_proxy_of_the_environment_is_used() {
    if std::env::var_os(CHILD).is_some() {
        let used = post(&TokenClient::new().unwrap(), "http://vendor.example/token").await;
        assert_eq!(used.unwrap().status(), 200);
        let unused = HttpSettings::new().no_proxy().timeout(SHORT * 20);
        failure(unused, "http://no-such-name.invalid/token").await;
        return;
    }
    let proxy = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200))
        .expect(1)
        .mount(&proxy)
        .await;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "token_client::the_proxy_of_the_environment_is_used",
        ])
        .env(CHILD, "1")
        .env("HTTP_PROXY", proxy.uri())
        .env("http_proxy", proxy.uri());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[tokio::test]
async fn a_post_without_a_body_tells_its_length() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let client = TokenClient::new().unwrap();
    for (method, length) in [("POST", Some("0")), ("PUT", Some("0")), ("GET", None)] {
        let request = http::Request::builder()
            .method(method)
            .uri(server.uri())
            .body(Bytes::new())
            .unwrap();
        client.send(request).await.unwrap();
        let sent = server.received_requests().await.unwrap().pop().unwrap();
        let told = sent.headers.get("content-length");
        assert_eq!(told.map(|told| told.to_str().unwrap()), length, "{method}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn a_connection_of_a_runtime_that_nobody_drives_serves_no_other() {
    let serving = tokio::runtime::Runtime::new().unwrap();
    let server = serving.block_on(answering_all());
    let client = TokenClient::new().unwrap();
    let standing = runtime();
    standing.block_on(post(&client, server.uri())).unwrap();
    // Its connection is kept, but its runtime does not run any more.
    runtime().block_on(post(&client, server.uri())).unwrap();
    standing.block_on(post(&client, server.uri())).unwrap();
}

const SOCKS_CHILD: &str = "BIPED_TEST_ENVIRONMENT_SOCKS";

#[tokio::test]
async fn a_socks_proxy_of_the_environment_is_used() {
    if std::env::var_os(SOCKS_CHILD).is_some() {
        let used = post(&TokenClient::new().unwrap(), "http://vendor.example/token").await;
        assert_eq!(used.unwrap().status(), 200);
        return;
    }
    let server = answering_all().await;
    let (at, mut asked) = socks5(*server.address()).await;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "token_client::a_socks_proxy_of_the_environment_is_used",
    ]);
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "all_proxy",
    ] {
        command.env_remove(name);
    }
    command
        .env(SOCKS_CHILD, "1")
        .env("ALL_PROXY", format!("socks5h://{at}"));
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert_eq!(asked.recv().await.unwrap(), "vendor.example");
}

async fn answering_all() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn a_space_before_the_colon_of_a_header_is_read() {
    let origin = raw(|stream, _| {
        write_and_stall(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length : 2\r\nRetry-After : 7\r\n\r\nok",
        )
    })
    .await;
    let answer = post(&TokenClient::new().unwrap(), origin).await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "7");
    assert_eq!(answer.body(), "ok");
}

/// A SOCKS5 proxy that resolves every name to `target`, and reports the names.
async fn socks5(
    target: std::net::SocketAddr,
) -> (String, tokio::sync::mpsc::UnboundedReceiver<String>) {
    use tokio::{
        io::{AsyncReadExt, copy_bidirectional},
        net::{TcpListener, TcpStream},
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let (names, asked) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            // RFC 1928: version and methods, then CONNECT with a name and a port.
            let mut methods = [0; 2];
            near.read_exact(&mut methods).await.unwrap();
            let mut offered = vec![0; methods[1].into()];
            near.read_exact(&mut offered).await.unwrap();
            near.write_all(&[5, 0]).await.unwrap();
            let mut connect = [0; 5];
            near.read_exact(&mut connect).await.unwrap();
            assert_eq!(connect[..4], [5, 1, 0, 3], "CONNECT by name");
            let mut name = vec![0; usize::from(connect[4]) + 2];
            near.read_exact(&mut name).await.unwrap();
            name.truncate(connect[4].into());
            names.send(String::from_utf8(name).unwrap()).unwrap();
            near.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
                .await
                .unwrap();
            let mut far = TcpStream::connect(target).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut near, &mut far).await });
        }
    });
    (at, asked)
}

#[tokio::test]
async fn a_socks_proxy_is_used_and_resolves_the_name() {
    let server = answering_all().await;
    let (at, mut asked) = socks5(*server.address()).await;
    let client = TokenClient::with(HttpSettings::new().proxy(format!("socks5h://{at}"))).unwrap();
    let answer = post(&client, "http://vendor.example/token").await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(asked.recv().await.unwrap(), "vendor.example");
}

#[test]
fn a_proxy_of_an_unknown_scheme_is_a_configuration_error() {
    for url in [
        "ftp://planted:planted@proxy.example",
        "socks://proxy.example:1080",
        "://x",
    ] {
        let error = TokenClient::with(HttpSettings::new().proxy(url)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.remedy().unwrap().contains("socks5h"), "{error}");
        assert!(!everything(&error).contains("planted"), "{error:?}");
    }
    for scheme in ["http", "HTTPS", "socks4", "socks4a", "socks5", "socks5h"] {
        TokenClient::with(HttpSettings::new().proxy(format!("{scheme}://proxy.example:1")))
            .unwrap();
    }
    TokenClient::with(HttpSettings::new().proxy("proxy.example:3128")).unwrap();
}

/// As to loopback, which `loopback_is_reached_without_the_proxy` tries: no test sends a request to a metadata
/// server, since the machine may have one.
#[test]
fn a_metadata_server_is_as_near_as_loopback() {
    let is_near = |url: &str| HttpSettings::is_near(&url.parse().unwrap());
    for near in [
        "http://127.0.0.1/",
        "http://metadata.google.internal/",
        "http://169.254.169.254/",
        "http://169.254.130.3:8081/msi/token",
    ] {
        assert!(is_near(near), "{near}");
    }
    for far in [
        "https://login.example/",
        "http://metadata.google.internal.evil.example/",
        "http://169.255.0.1/",
    ] {
        assert!(!is_near(far), "{far}");
    }
}
