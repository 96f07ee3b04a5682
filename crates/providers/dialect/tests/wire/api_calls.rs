//! How API calls carry the token, and which of their answers reject it.

use biped_core::{ApiResponse, Provider as _, SecretRef, Timestamp, Verdict};
use serde_json::{Value, json};
use wiremock::{
    Mock, ResponseTemplate,
    matchers::{method, path},
};

use crate::server::{Sent, Server};

/// Tokens `t-1`, `t-2`, …, and an API that answers this to `t-1` and "fine" to all others.
async fn rejecting(status: u16, body: Value) -> Server {
    let server = Server::empty().await;
    let count = std::sync::atomic::AtomicU32::new(0);
    Mock::given(path("/token"))
        .respond_with(move |_: &wiremock::Request| {
            let number = 1 + count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            ResponseTemplate::new(200)
                .set_body_json(json!({ "access_token": format!("t-{number}"), "session": "s-9" }))
        })
        .mount(&server.0)
        .await;
    Mock::given(method("GET"))
        .and(path("/api"))
        .respond_with(move |request: &wiremock::Request| {
            let seen = format!("{:?} {}", request.headers, request.url);
            if seen.contains("t-1") || seen.contains("MDp0LTE=") {
                ResponseTemplate::new(status).set_body_json(&body)
            } else {
                ResponseTemplate::new(200).set_body_json(json!({ "code": 0, "say": "fine" }))
            }
        })
        .mount(&server.0)
        .await;
    server
}

async fn calls(server: &Server) -> Vec<Sent> {
    let all = server.requests().await.into_iter();
    all.filter(|request| request.url.path() == "/api")
        .map(Sent)
        .collect()
}

/// Calls the API once, and says what came back.
async fn call(server: &Server, dialect: &str) -> Value {
    let vendor = server.vendor(dialect);
    let answer = server.client(vendor).get("/api").send().await.unwrap();
    answer.json().await.unwrap()
}

const TOKEN: &str = "url = \"{origin}/token\"\nauth = \"none\"\n";

#[tokio::test]
async fn by_default_it_is_a_bearer_token_that_401_rejects() {
    let server = rejecting(401, json!({})).await;
    assert_eq!(call(&server, TOKEN).await["say"], "fine");
    let calls = calls(&server).await;
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].header("authorization"), Some("Bearer t-1"));
    assert_eq!(calls[1].header("authorization"), Some("Bearer t-2"));
}

#[tokio::test]
async fn an_invalid_token_rejects_at_any_status_unless_the_file_says_otherwise() {
    let server = Server::empty().await;
    let judged = |dialect: &str, challenge: &'static str| {
        let mut headers = http::HeaderMap::new();
        let challenge = http::HeaderValue::from_static(challenge);
        headers.insert("www-authenticate", challenge);
        let (status, now) = (http::StatusCode::FORBIDDEN, Timestamp::default());
        let vendor = server.vendor(dialect).build().unwrap();
        vendor.judge(&ApiResponse::new(status, &headers, now))
    };
    let invalid = "Bearer error=\"invalid_token\"";
    assert_eq!(judged(TOKEN, invalid), Verdict::Rejected);
    let insufficient = "Bearer error=\"insufficient_scope\"";
    assert_eq!(judged(TOKEN, insufficient), Verdict::Accepted);
    let own = format!("{TOKEN}expired = {{ status = [419] }}");
    assert_eq!(judged(&own, invalid), Verdict::Accepted);
}

#[tokio::test]
async fn headers_carry_the_token_parameters_and_what_was_exported() {
    let server = rejecting(401, json!({})).await;
    let dialect = format!(
        "{TOKEN}response = {{ export = {{ session = \"/session\" }} }}\n\
         [attach]\nheaders = {{ X-Token = \"{{token}}\", X-Key = \"{{key}}\", X-Session = \
         \"{{session}}\", X-Id = \"{{uuid}}\" }}"
    );
    let vendor = server
        .vendor(&dialect)
        .param("key", SecretRef::inline("k-1"));
    server.client(vendor).get("/api").send().await.unwrap();
    let calls = calls(&server).await;
    let last = calls.last().unwrap();
    assert_eq!(last.header("x-token"), Some("t-2"));
    assert_eq!(last.header("x-key"), Some("k-1"));
    assert_eq!(last.header("x-session"), Some("s-9"));
    assert_eq!(last.header("authorization"), None);
    assert_ne!(calls[0].header("x-id"), calls[1].header("x-id"));
}

#[tokio::test]
async fn a_token_in_the_query_is_replaced_with_the_token() {
    let server = rejecting(401, json!({})).await;
    let dialect = format!("{TOKEN}attach = {{ query = {{ access_token = \"{{token}}\" }} }}");
    let vendor = server.vendor(&dialect);
    server
        .client(vendor)
        .get("/api?page=2")
        .send()
        .await
        .unwrap();
    let calls = calls(&server).await;
    assert_eq!(calls[0].line(), "GET /api?page=2&access_token=t-1");
    assert_eq!(calls[1].line(), "GET /api?page=2&access_token=t-2");
}

#[tokio::test]
async fn a_token_may_be_a_password() {
    let server = rejecting(401, json!({})).await;
    let dialect =
        format!("{TOKEN}attach = {{ basic = {{ user = \"0\", password = \"{{token}}\" }} }}");
    call(&server, &dialect).await;
    let calls = calls(&server).await;
    assert_eq!(calls[0].header("authorization"), Some("Basic MDp0LTE="));
    assert_eq!(calls[1].header("authorization"), Some("Basic MDp0LTI="));
}

#[tokio::test]
async fn an_answer_with_200_may_reject_the_token() {
    let expired = "expired = { status = [200], at = \"/code\", any_of = [40101, \"40102\"] }";
    let dialect = format!("{TOKEN}{expired}");
    for code in [json!(40101), json!("40101"), json!(40102)] {
        let server = rejecting(200, json!({ "code": code })).await;
        assert_eq!(call(&server, &dialect).await["say"], "fine", "{code}");
        assert_eq!(calls(&server).await.len(), 2);
    }
    for (status, body) in [
        (200, json!({ "code": 1 })),
        (200, json!({ "other": 40101 })),
        (200, json!([])),
        (400, json!({ "code": 40101 })),
        (401, json!({ "code": 40101 })),
    ] {
        let server = rejecting(status, body.clone()).await;
        assert_eq!(call(&server, &dialect).await, body);
        assert_eq!(calls(&server).await.len(), 1, "{status} {body}");
    }
}

#[tokio::test]
async fn any_of_several_entries_is_enough() {
    let dialect = format!(
        "{TOKEN}[[expired]]\nstatus = [419, 498]\n[[expired]]\nat = \"/code\"\nany_of = [true]"
    );
    for (status, body, sent) in [
        (498, json!({}), 2),
        (403, json!({ "code": true }), 2),
        (403, json!({ "code": "true" }), 2),
        (401, json!({}), 1),
    ] {
        let server = rejecting(status, body.clone()).await;
        call(&server, &dialect).await;
        assert_eq!(calls(&server).await.len(), sent, "{status} {body}");
    }
}

const WHOLE: &str = r#"
    url = "{origin}/login"
    encoding = "json"
    auth = "none"
    grant_type = false
    fields = { "/auth/identity/key" = "{client_secret}" }
    response = { token = "/session" }

    [[then]]
    url = "{origin}/exchange"
    method = "POST"
    encoding = "json"
    fields = { session = "{token}" }

    [then.response]
    token = "/tokens/0"
    expires = { at = "/until", as = "rfc3339" }

    [attach]
    headers = { X-Token = "{token}" }

    [expired]
    status = [200]
    at = "/code"
    any_of = [40101]
"#;

#[tokio::test]
async fn an_odd_vendor_works_from_login_to_the_expired_answer() {
    let server = Server::empty().await;
    server.at("/login", 200, json!({ "session": "s-1" })).await;
    let count = std::sync::atomic::AtomicU32::new(0);
    Mock::given(path("/exchange"))
        .respond_with(move |_: &wiremock::Request| {
            let number = 1 + count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            ResponseTemplate::new(200).set_body_json(json!({
                "tokens": [format!("t-{number}")], "until": "2199-01-01T00:00:00+09:00"
            }))
        })
        .mount(&server.0)
        .await;
    Mock::given(path("/api"))
        .respond_with(|request: &wiremock::Request| {
            let code = if request.headers["x-token"] == "t-1" {
                40101
            } else {
                0
            };
            ResponseTemplate::new(200).set_body_json(json!({ "code": code, "say": "fine" }))
        })
        .mount(&server.0)
        .await;

    let client = server.client(server.vendor(WHOLE));
    let answer: Value = client
        .get("/api")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(answer, json!({ "code": 0, "say": "fine" }));

    let requests: Vec<_> = server.requests().await.into_iter().map(Sent).collect();
    let lines: Vec<_> = requests.iter().map(Sent::line).collect();
    let fetch = ["POST /login", "POST /exchange", "GET /api"];
    assert_eq!(lines, [fetch, fetch].concat());
    assert_eq!(
        requests[0].json(),
        json!({ "auth": { "identity": { "key": crate::server::SECRET } } })
    );
    assert_eq!(requests[1].json(), json!({ "session": "s-1" }));
    assert_eq!(requests[5].header("x-token"), Some("t-2"));
}
