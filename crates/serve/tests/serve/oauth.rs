//! The token endpoint of RFC 6749.

use crate::{
    stage::{Answer, Stage},
    vendor::{Act, reply},
};

const CALLERS: &str = "[[serve.callers]]\nname = 'a'\ntoken = 'secret-a'\ntokens = true\n\
                       [[serve.callers]]\nname = 'b'\ntoken = 'secret-b'\n\
                       [serve.providers.shop]\nscopes = ['read']\n";

async fn post(stage: &Stage, headers: &str, form: &str) -> Answer {
    let mut caller = stage.caller().await;
    let length = form.len();
    caller
        .write(format!(
            "POST /-/oauth/shop/token HTTP/1.1\r\nHost: localhost\r\n{headers}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
        ))
        .await;
    caller.answer().await
}

#[tokio::test]
async fn any_oauth_library_gets_a_token_with_basic_or_body_credentials() {
    let stage = Stage::with("tokens = true", CALLERS).await;
    let grant = "grant_type=client_credentials";
    // any:secret-a
    let basic = post(&stage, "Authorization: Basic YW55OnNlY3JldC1h\r\n", grant).await;
    let body = post(
        &stage,
        "",
        &format!("{grant}&client_id=any&client_secret=secret-a"),
    )
    .await;
    for answer in [basic, body] {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let json = answer.json();
        assert_eq!(json["access_token"], "token-1");
        assert_eq!(json["token_type"], "Bearer");
        assert_eq!(json["expires_in"], 300);
    }
    // Libraries that follow RFC 6749 §2.3.1 encode the secret of Basic: any:secret%2Da.
    let encoded = post(
        &stage,
        "Authorization: Basic YW55OnNlY3JldCUyRGE=\r\n",
        grant,
    )
    .await;
    assert_eq!(encoded.status, 200, "{encoded:?}");
    let own = post(&stage, "Biped-Caller: secret-a\r\n", grant).await;
    assert_eq!(own.status, 200, "{own:?}");
    let scoped = format!("{grant}&client_secret=secret-a&scope=read");
    assert_eq!(post(&stage, "", &scoped).await.json()["scope"], "read");
}

#[tokio::test]
async fn a_form_that_stops_arriving_ends_the_connection() {
    let stage = Stage::with("tokens = true\nidle_timeout = '200ms'", CALLERS).await;
    let mut caller = stage.caller().await;
    caller
        .write(
            "POST /-/oauth/shop/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: \
             application/x-www-form-urlencoded\r\nContent-Length: 50\r\n\r\ngrant",
        )
        .await;
    assert_eq!(caller.answer().await.problem().1, "incomplete-body");
    assert!(caller.next().await.is_none());
}

#[tokio::test]
async fn errors_are_those_of_the_standard() {
    let stage = Stage::with("tokens = true", CALLERS).await;
    for (form, status, error) in [
        ("grant_type=client_credentials", 401, "invalid_client"),
        (
            "grant_type=client_credentials&client_secret=x",
            401,
            "invalid_client",
        ),
        (
            "grant_type=client_credentials&client_secret=secret-b",
            400,
            "unauthorized_client",
        ),
        (
            "grant_type=password&client_secret=secret-a",
            400,
            "unsupported_grant_type",
        ),
        ("client_secret=secret-a", 400, "invalid_request"),
        (
            "grant_type=client_credentials&client_secret=secret-a&scope=admin",
            400,
            "invalid_scope",
        ),
        (
            "grant_type=client_credentials&client_secret=secret-a&audience=x",
            400,
            "invalid_request",
        ),
        (
            "grant_type=client_credentials&client_secret=secret-a&scope=read&audience=x",
            400,
            "invalid_request",
        ),
        (
            "grant_type=client_credentials&grant_type=client_credentials",
            400,
            "invalid_request",
        ),
    ] {
        let answer = post(&stage, "", form).await;
        assert_eq!(answer.status, status, "{form}: {answer:?}");
        assert_eq!(answer.json()["error"], error, "{form}");
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
        // An answer without it is the vendor's.
        let status = answer.header("proxy-status").unwrap();
        assert!(status.starts_with("biped; error=http_request_"), "{status}");
    }
    let forwarded = post(&stage, "X-Forwarded-For: 10.0.0.1\r\n", "").await;
    assert_eq!(forwarded.status, 403);
}

#[tokio::test]
async fn without_a_token_the_library_is_told_to_come_back() {
    let stage = Stage::with("tokens = true\nwarm = []", CALLERS).await;
    stage
        .vendor
        .tokens(|_| Act::Reply(reply("429 Too Many Requests", "Retry-After: 30\r\n", "")));
    let form = "grant_type=client_credentials&client_secret=secret-a";
    let answer = post(&stage, "", form).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["error"], "temporarily_unavailable");
    let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((29..=31).contains(&after), "{after}");
}

#[tokio::test]
async fn the_metadata_leads_to_the_endpoint_and_needs_nobody() {
    let stage = Stage::with("tokens = true", CALLERS).await;
    let issuer = "http://localhost/-/oauth/shop";
    for path in [
        "/-/oauth/shop/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/-/oauth/shop",
    ] {
        let json = stage.get(path).await.json();
        assert_eq!(json["issuer"], issuer);
        assert_eq!(json["token_endpoint"], format!("{issuer}/token"));
        assert_eq!(json["grant_types_supported"][0], "client_credentials");
    }
    let off = Stage::new().await;
    let answer = off
        .get("/-/oauth/shop/.well-known/oauth-authorization-server")
        .await;
    assert_eq!(answer.status, 404);
}
