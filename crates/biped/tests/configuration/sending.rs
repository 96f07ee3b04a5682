//! A place of secrets that an application registers, and that sends requests over a real socket.

use std::sync::Arc;

use biped::{
    Biped, Builder, Error, ErrorKind, ExposeSecret, SecretString, TokenRequest,
    config::{SecretScheme, SecretSource, SourceContext},
    provider::{SecretRef, async_trait},
};
use bytes::Bytes;
use tokio::net::TcpListener;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path},
};

use crate::{builder, vendor::secret_of};

/// Secrets of a server that returns each as text.
#[derive(Debug)]
struct Acme {
    server: String,
    path: String,
}

#[async_trait]
impl SecretSource for Acme {
    fn reference(&self) -> String {
        format!("acme:{}", self.path)
    }

    async fn read(&self, cx: &SourceContext<'_>) -> Result<SecretString, Error> {
        let key = cx.secret(&SecretRef::inline("the key")).await?;
        let request = http::Request::get(format!("{}/{}", self.server, self.path))
            .header("x-acme-key", key.expose_secret())
            .body(Bytes::new())
            .unwrap();
        let response = cx.send(request).await?;
        if !response.status().is_success() {
            let message = format!("{}: HTTP {}", self.reference(), response.status());
            return Err(Error::secret(message));
        }
        Ok(String::from_utf8(response.into_body().into())
            .unwrap()
            .into())
    }
}

fn with_server(server: &str) -> Builder {
    let server = server.to_owned();
    builder().secret_scheme(SecretScheme::new("acme", move |path: &str| {
        let (server, path) = (server.clone(), path.to_owned());
        Ok(Arc::new(Acme { server, path }) as Arc<dyn SecretSource>)
    }))
}

const PROVIDER: &str = "[providers.a]\nkind = 'acme'\nclient_secret = 'acme:kv/shop'\n";

fn built(server: &str) -> Biped {
    with_server(server).toml(PROVIDER).build().unwrap()
}

async fn refused(biped: &Biped) -> Error {
    biped.token_source("a").unwrap().token().await.unwrap_err()
}

#[tokio::test]
async fn an_own_place_of_secrets_sends_requests() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/kv/shop"))
        .and(header("x-acme-key", "the key"))
        .respond_with(ResponseTemplate::new(200).set_body_string("s1"))
        .expect(1)
        .mount(&server)
        .await;
    assert_eq!(secret_of(&built(&server.uri()), "a").await, "s1");
}

/// A builder makes several configurations: each sends with its own client.
#[tokio::test]
async fn each_configuration_sends_with_its_own_client() {
    let server = MockServer::start().await;
    Mock::given(path("/kv/shop"))
        .respond_with(ResponseTemplate::new(200).set_body_string("a secret of 24 bytes ..."))
        .mount(&server)
        .await;
    let with = with_server(&server.uri());
    let small = format!("[http]\nmax_body = 8\n{PROVIDER}");
    let small = with.clone().toml(small).build().unwrap();
    let large = with.toml(PROVIDER).build().unwrap();
    assert_eq!(secret_of(&large, "a").await, "a secret of 24 bytes ...");
    assert_eq!(refused(&small).await.kind(), ErrorKind::InvalidResponse);
}

#[tokio::test]
async fn an_own_place_of_secrets_follows_no_redirect() {
    let (server, elsewhere) = (MockServer::start().await, MockServer::start().await);
    let location = format!("{}/kv/shop", elsewhere.uri());
    Mock::given(path("/kv/shop"))
        .respond_with(ResponseTemplate::new(302).insert_header("location", &*location))
        .mount(&server)
        .await;
    let error = refused(&built(&server.uri())).await;
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert!(error.to_string().contains("302"), "{error}");
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_own_place_of_secrets_asks_no_other_machine_in_plain_http() {
    let error = refused(&built("http://vault.acme.example")).await;
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("is not https"), "{error}");
}

#[tokio::test]
async fn an_own_place_of_secrets_that_hangs_up_is_unreachable() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", server.local_addr().unwrap());
    let hangs_up = tokio::spawn(async move { while server.accept().await.is_ok() {} });
    let error = refused(&built(&uri)).await;
    hangs_up.abort();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
}

/// A source that is given in code has the client of the fetch.
#[tokio::test]
async fn a_source_given_in_code_sends_requests() {
    let server = MockServer::start().await;
    Mock::given(path("/kv/shop"))
        .respond_with(ResponseTemplate::new(200).set_body_string("s2"))
        .mount(&server)
        .await;
    let (server, path) = (server.uri(), "kv/shop".to_owned());
    let secret = SecretRef::from_source(Arc::new(Acme { server, path }));
    let provider = Arc::new(crate::vendor::with_secret(secret));
    let biped = builder()
        .provider("a", provider, TokenRequest::new())
        .build()
        .unwrap();
    assert_eq!(secret_of(&biped, "a").await, "s2");
}
