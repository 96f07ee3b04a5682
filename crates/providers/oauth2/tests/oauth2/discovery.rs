//! What a server says of itself.

use std::time::Duration;

use biped_core::{ErrorKind, FetchContext, Provider as _, SecretRef, TokenRequest};
use biped_oauth2::{METADATA_LIFETIME, OAuth2};
use biped_testing::ManualClock;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::server::{CLIENT, Server, claims, field, granted, header, json_answer};

const RFC8414: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

fn metadata(server: &Server) -> Value {
    json!({
        "issuer": server.mock.uri(),
        "token_endpoint": server.url("/token").as_str(),
    })
}

fn discovered(server: &Server) -> OAuth2 {
    OAuth2::discovered(server.mock.uri(), SecretRef::inline(CLIENT))
}

async fn paths(server: &Server) -> Vec<String> {
    let requests = server.requests().await;
    requests
        .iter()
        .map(|request| request.url.path().to_owned())
        .collect()
}

#[tokio::test]
async fn the_token_endpoint_is_found_where_the_standard_says() {
    let server = Server::generous().await;
    server
        .serves(RFC8414, json_answer(200, &metadata(&server)))
        .await;
    server.fetch(&discovered(&server)).await.unwrap();
    assert_eq!(paths(&server).await, [RFC8414, "/token"]);
    assert_eq!(
        server.requests().await[0].headers["accept"],
        "application/json"
    );
}

#[tokio::test]
async fn an_issuer_with_a_path_has_its_metadata_at_the_root() {
    let server = Server::generous().await;
    let mut document = metadata(&server);
    document["issuer"] = format!("{}/tenant/1", server.mock.uri()).into();
    server
        .serves(
            "/tenant/1/.well-known/openid-configuration",
            json_answer(200, &document),
        )
        .await;
    let provider = OAuth2::discovered(
        format!("{}/tenant/1", server.mock.uri()),
        SecretRef::inline(CLIENT),
    );
    server.fetch(&provider).await.unwrap();
    assert_eq!(
        paths(&server).await,
        [
            "/.well-known/oauth-authorization-server/tenant/1",
            "/tenant/1/.well-known/openid-configuration",
            "/token"
        ]
    );
}

#[tokio::test]
async fn a_login_page_in_its_place_counts_as_absent() {
    for page in [
        ResponseTemplate::new(200).set_body_raw("<html>Sign in</html>", "text/html"),
        ResponseTemplate::new(302).insert_header("Location", "/login"),
        ResponseTemplate::new(500),
        json_answer(200, &json!({ "message": "hello" })),
    ] {
        let server = Server::generous().await;
        server.serves(RFC8414, page).await;
        server
            .serves(OPENID, json_answer(200, &metadata(&server)))
            .await;
        server.fetch(&discovered(&server)).await.unwrap();
        assert_eq!(paths(&server).await, [RFC8414, OPENID, "/token"]);
    }
}

#[tokio::test]
async fn a_server_without_metadata_is_a_configuration_error_unless_it_fails() {
    let server = Server::generous().await;
    let error = server.fetch(&discovered(&server)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    server.serves(OPENID, ResponseTemplate::new(503)).await;
    let error = server.fetch(&discovered(&server)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_transient());
}

#[tokio::test]
async fn whoever_answers_for_another_issuer_is_not_believed() {
    let server = Server::generous().await;
    for other in [
        "https://login.example".to_owned(),
        format!("{}/", server.mock.uri()),
        format!("{}/tenant", server.mock.uri()),
        "https://user:pl4nted@login.example".to_owned(),
        "https://login.example/?pl4nted".to_owned(),
        String::new(),
    ] {
        server.mock.reset().await;
        let mut document = metadata(&server);
        document["issuer"] = other.clone().into();
        server.serves(RFC8414, json_answer(200, &document)).await;
        let error = server.fetch(&discovered(&server)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{other}");
        assert!(!format!("{error} {error:?}").contains("pl4nted"), "{other}");
        assert_eq!(paths(&server).await, [RFC8414], "{other}");
    }
}

#[tokio::test]
async fn no_endpoint_is_taken_that_no_secret_may_be_sent_to() {
    let server = Server::generous().await;
    for endpoint in [
        json!("http://login.example/token"),
        json!("https://user:pw@login.example/token"),
        json!("login"),
        Value::Null,
    ] {
        server.mock.reset().await;
        let mut document = metadata(&server);
        document["token_endpoint"] = endpoint.clone();
        server.serves(RFC8414, json_answer(200, &document)).await;
        let error = server.fetch(&discovered(&server)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{endpoint}");
    }
}

#[tokio::test]
async fn metadata_is_believed_for_its_lifetime() {
    let server = Server::generous().await;
    server
        .serves(RFC8414, json_answer(200, &metadata(&server)))
        .await;
    let clock = ManualClock::new();
    let provider = discovered(&server);
    let fetch = async || {
        let cx = FetchContext::new(&server.http, &clock);
        provider.fetch(&TokenRequest::new(), &cx).await.unwrap();
        paths(&server)
            .await
            .iter()
            .filter(|path| *path == RFC8414)
            .count()
    };
    assert_eq!(fetch().await, 1);
    clock.advance(METADATA_LIFETIME - Duration::from_secs(1));
    assert_eq!(fetch().await, 1);
    clock.advance(Duration::from_secs(1));
    assert_eq!(fetch().await, 2);
}

#[tokio::test]
async fn what_a_server_said_holds_while_it_cannot_say_it_again() {
    for silent in [503, 404, 302] {
        let server = Server::generous().await;
        server
            .answers_once(RFC8414, json_answer(200, &metadata(&server)))
            .await;
        server.serves(RFC8414, ResponseTemplate::new(silent)).await;
        let clock = ManualClock::new();
        let provider = discovered(&server);
        for _ in 0..2 {
            let cx = FetchContext::new(&server.http, &clock);
            provider.fetch(&TokenRequest::new(), &cx).await.unwrap();
            clock.advance(METADATA_LIFETIME);
        }
        let asked = paths(&server).await;
        let again = asked.iter().filter(|path| *path == RFC8414).count();
        assert!(
            again >= 2,
            "{silent}: the server was not asked again: {asked:?}"
        );
    }
}

#[tokio::test]
async fn what_a_server_said_holds_after_its_token_endpoint_was_gone_for_a_moment() {
    let server = Server::new().await;
    server
        .answers_once(RFC8414, json_answer(200, &metadata(&server)))
        .await;
    server.serves(RFC8414, ResponseTemplate::new(503)).await;
    server.answers_once("/token", granted("t-1")).await;
    server
        .answers_once("/token", ResponseTemplate::new(404))
        .await;
    server.answers("/token", granted("t-2")).await;
    let provider = discovered(&server);
    server.fetch(&provider).await.unwrap();
    let error = server.fetch(&provider).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    server.fetch(&provider).await.unwrap();
}

#[tokio::test]
async fn another_issuer_is_not_believed_later_either() {
    let server = Server::generous().await;
    server
        .answers_once(RFC8414, json_answer(200, &metadata(&server)))
        .await;
    let other =
        json!({ "issuer": "https://evil.example", "token_endpoint": "https://evil.example/t" });
    server.serves(RFC8414, json_answer(200, &other)).await;
    let clock = ManualClock::new();
    let provider = discovered(&server);
    let cx = FetchContext::new(&server.http, &clock);
    provider.fetch(&TokenRequest::new(), &cx).await.unwrap();
    clock.advance(METADATA_LIFETIME);
    let error = provider.fetch(&TokenRequest::new(), &cx).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn a_token_endpoint_that_has_gone_is_looked_up_again() {
    for gone in [404, 405, 410, 307] {
        let server = Server::new().await;
        let mut moved = metadata(&server);
        moved["token_endpoint"] = server.url("/v2/token").as_str().into();
        server
            .answers_once(RFC8414, json_answer(200, &metadata(&server)))
            .await;
        server.serves(RFC8414, json_answer(200, &moved)).await;
        server.answers_once("/token", granted("t-1")).await;
        server.answers("/token", ResponseTemplate::new(gone)).await;
        server.answers("/v2/token", granted("t-2")).await;
        let provider = discovered(&server);
        server.fetch(&provider).await.unwrap();
        server.fetch(&provider).await.unwrap();
        assert_eq!(
            paths(&server).await,
            [RFC8414, "/token", "/token", RFC8414, "/v2/token"],
            "{gone}"
        );
    }
}

#[tokio::test]
async fn a_token_endpoint_that_was_never_there_is_asked_once() {
    let server = Server::new().await;
    server
        .serves(RFC8414, json_answer(200, &metadata(&server)))
        .await;
    let error = server.fetch(&discovered(&server)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(paths(&server).await, [RFC8414, "/token"]);
}

#[tokio::test]
async fn the_method_is_one_that_the_server_lists() {
    let key = include_str!("../keys/rsa.pkcs8.pem");
    for (methods, algs, secret, expected) in [
        (
            json!(["client_secret_post"]),
            Value::Null,
            true,
            "client_secret",
        ),
        (
            json!(["client_secret_jwt"]),
            json!(["HS512"]),
            true,
            "client_assertion",
        ),
        (
            json!(["client_secret_post", "client_secret_basic"]),
            Value::Null,
            true,
            "authorization",
        ),
        (Value::Null, Value::Null, true, "authorization"),
        (
            json!(["private_key_jwt"]),
            json!(["PS256", "ES256"]),
            false,
            "client_assertion",
        ),
    ] {
        let server = Server::generous().await;
        let mut document = metadata(&server);
        document["token_endpoint_auth_methods_supported"] = methods.clone();
        document["token_endpoint_auth_signing_alg_values_supported"] = algs.clone();
        server.serves(RFC8414, json_answer(200, &document)).await;
        let provider = if secret {
            discovered(&server).client_secret(SecretRef::inline("a secret"))
        } else {
            discovered(&server).key(SecretRef::inline(key))
        };
        server.fetch(&provider).await.unwrap();
        let requests = server.requests().await;
        let request = requests.last().unwrap();
        let is_there = field(request, expected).is_some() || request.headers.contains_key(expected);
        assert!(is_there, "{methods}");
        if let Some(jwt) = field(request, "client_assertion") {
            assert_eq!(header(&jwt)["alg"], algs[0]);
            assert_eq!(claims(&jwt)["aud"], server.mock.uri());
        }
    }
}

#[tokio::test]
async fn all_credentials_there_are_are_for_a_method_that_the_server_lists() {
    let key = include_str!("../keys/rsa.pkcs8.pem");
    for (listed, expected) in [
        (
            json!(["private_key_jwt", "client_secret_basic"]),
            "client_assertion",
        ),
        (json!(["client_secret_post"]), "client_secret"),
        (
            json!(["client_secret_basic", "tls_client_auth"]),
            "authorization",
        ),
        (json!(["tls_client_auth"]), "client_id"),
        (json!([]), "client_assertion"),
    ] {
        let server = Server::generous().await;
        let mut document = metadata(&server);
        document["token_endpoint_auth_methods_supported"] = listed.clone();
        server.serves(RFC8414, json_answer(200, &document)).await;
        let provider = discovered(&server)
            .client_secret(SecretRef::inline("a secret"))
            .key(SecretRef::inline(key))
            .certificate(
                SecretRef::inline("a certificate"),
                SecretRef::inline("its key"),
            );
        server.fetch(&provider).await.unwrap();
        let requests = server.requests().await;
        let request = requests.last().unwrap();
        let is_there = field(request, expected).is_some() || request.headers.contains_key(expected);
        assert!(is_there, "{listed}");
        let proofs = ["client_assertion", "client_secret"].map(|name| field(request, name));
        let proofs = proofs.iter().flatten().count();
        assert!(expected != "client_id" || proofs == 0, "{listed}");
    }
}

#[tokio::test]
async fn a_server_that_lists_no_method_for_the_credentials_is_not_asked() {
    let server = Server::generous().await;
    let mut document = metadata(&server);
    document["token_endpoint_auth_methods_supported"] = json!(["private_key_jwt"]);
    server.serves(RFC8414, json_answer(200, &document)).await;
    let provider = discovered(&server).client_secret(SecretRef::inline("a secret"));
    let error = server.fetch(&provider).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("it lists private_key_jwt"));
    assert_eq!(paths(&server).await, [RFC8414]);
}

#[tokio::test]
async fn a_client_with_a_certificate_has_endpoints_of_its_own() {
    let server = Server::new().await;
    server.answers("/mtls/token", granted("t-1")).await;
    let mut document = metadata(&server);
    document["mtls_endpoint_aliases"] =
        json!({ "token_endpoint": server.url("/mtls/token").as_str() });
    server.serves(RFC8414, json_answer(200, &document)).await;
    let provider = discovered(&server).certificate(
        SecretRef::inline("a certificate"),
        SecretRef::inline("its key"),
    );
    server.fetch(&provider).await.unwrap();
    assert_eq!(
        server.body().await,
        "grant_type=client_credentials&client_id=client-7"
    );
}

#[tokio::test]
async fn a_token_endpoint_given_by_hand_needs_no_metadata() {
    let server = Server::generous().await;
    let provider = server.client_with_secret().issuer(server.mock.uri());
    server.fetch(&provider).await.unwrap();
    assert_eq!(paths(&server).await, ["/token"]);
}
