//! GitHub, Google, and any URL.

use std::{sync::Arc, time::Duration};

use biped_core::{ErrorKind, FetchContext, SystemClock};
use biped_sources::Asking;
use biped_testing::{ManualClock, Reply, ScriptedHttp};
use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any, method},
};

use crate::outcome::{outcome, source};

pub(crate) async fn answering(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

/// The method and the whole path with its query, of each request.
pub(crate) async fn asked(server: &MockServer) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    let line = |it: &wiremock::Request| {
        let query = it
            .url
            .query()
            .map_or(String::new(), |query| format!("?{query}"));
        format!("{} {}{query}", it.method, it.url.path())
    };
    requests.iter().map(line).collect()
}

pub(crate) async fn header(server: &MockServer, name: &str) -> Option<String> {
    let requests = server.received_requests().await.unwrap();
    let value = requests.last()?.headers.get(name)?;
    Some(value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn github_is_asked_with_the_audience_and_the_jobs_token() {
    let server =
        answering(ResponseTemplate::new(200).set_body_json(json!({ "value": "t.o.k" }))).await;
    let url = format!("{}/oidc?run=7", server.uri());
    let variables = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "runner-s3cret"),
    ];
    let toml = "token = { github = { audience = 'api://Exchange' } }";
    assert_eq!(outcome(toml, &variables)["token"], "t.o.k");
    assert_eq!(
        asked(&server).await,
        ["GET /oidc?run=7&audience=api%3A%2F%2FExchange"]
    );
    let bearer = header(&server, "authorization").await;
    assert_eq!(bearer.as_deref(), Some("bearer runner-s3cret"));

    outcome("token = { github = {} }", &variables);
    let last = asked(&server).await.pop().unwrap();
    assert_eq!(
        last,
        "GET /oidc?run=7&audience=https%3A%2F%2Fissuer.example"
    );
}

#[tokio::test]
async fn google_gives_an_identity_token_for_an_audience() {
    let google = ResponseTemplate::new(200)
        .insert_header("Metadata-Flavor", "Google")
        .set_body_string("i.d.t\n");
    let server = answering(google).await;
    let toml = format!(
        "token = {{ gcp = {{ audience = 'https://run.example', endpoint = '{}' }} }}",
        server.uri()
    );
    assert_eq!(outcome(&toml, &[])["token"], "i.d.t");
    let host = server.address().to_string();
    let toml = "token = { gcp = { account = 'a@b.example' } }";
    assert_eq!(
        outcome(toml, &[("GCE_METADATA_HOST", &host)])["token"],
        "i.d.t"
    );
    assert_eq!(
        asked(&server).await,
        [
            "GET /computeMetadata/v1/instance/service-accounts/default/identity\
             ?audience=https%3A%2F%2Frun.example&format=full",
            "GET /computeMetadata/v1/instance/service-accounts/a@b.example/identity\
             ?audience=https%3A%2F%2Fissuer.example&format=full",
        ]
    );
    assert_eq!(
        header(&server, "metadata-flavor").await.as_deref(),
        Some("Google")
    );
}

#[tokio::test]
async fn google_gives_an_access_token_for_scopes() {
    let google = ResponseTemplate::new(200)
        .insert_header("Metadata-Flavor", "Google")
        .set_body_json(
            json!({ "access_token": "ya29", "expires_in": 3599, "token_type": "Bearer" }),
        );
    let server = answering(google).await;
    let toml = format!(
        "token = {{ gcp = {{ access = true, endpoint = '{}' }} }}\nscope = 'a b'",
        server.uri()
    );
    let outcome = outcome(&toml, &[]);
    assert_eq!(
        (&outcome["token"], &outcome["expires_in"]),
        (&json!("ya29"), &json!(3599))
    );
    let path = "GET /computeMetadata/v1/instance/service-accounts/default/token?scopes=a%2Cb";
    assert_eq!(asked(&server).await, [path]);
}

#[tokio::test]
async fn an_answer_without_googles_header_is_not_googles() {
    let server = answering(ResponseTemplate::new(200).set_body_string("i.d.t")).await;
    let toml = format!("token = {{ gcp = {{ endpoint = '{}' }} }}", server.uri());
    let outcome = outcome(&toml, &[]);
    assert_eq!(outcome["kind"], "invalid_response");
    assert_eq!(outcome["source"], "gcp");
}

#[tokio::test]
async fn any_endpoint_is_asked_with_headers_and_a_body() {
    let server = MockServer::start().await;
    let answer = json!({ "data": [{ "token": "u.r.l" }] });
    let json = ResponseTemplate::new(200).set_body_json(answer);
    Mock::given(method("POST"))
        .respond_with(json)
        .mount(&server)
        .await;
    let plain = ResponseTemplate::new(200).set_body_string(" p.l.n \n");
    Mock::given(method("GET"))
        .respond_with(plain)
        .mount(&server)
        .await;

    let toml = format!(
        "token = {{ url = '{}/t?x=1', headers = {{ X-Key = 'env:KEY' }}, body = '{{}}', at = \
         '/data/0/token' }}",
        server.uri()
    );
    assert_eq!(outcome(&toml, &[("KEY", "k3y")])["token"], "u.r.l");
    assert_eq!(header(&server, "x-key").await.as_deref(), Some("k3y"));
    let toml = format!("token = {{ url = '{}/t' }}", server.uri());
    assert_eq!(outcome(&toml, &[])["token"], "p.l.n");
    assert_eq!(asked(&server).await, ["POST /t?x=1", "GET /t"]);
}

#[tokio::test]
async fn what_a_platform_is_shown_is_marked_as_sensitive() {
    let http = ScriptedHttp::new();
    http.answer_with(|_, _| Reply::json(200, "u.r.l"));
    let cx = FetchContext::new(&http, &SystemClock);
    let toml = "token = { url = 'https://t.example', headers = { X-Key = 'k3y' } }";
    let (token, _) = source(toml);
    token.unwrap().read(&Asking::new(&cx)).await.unwrap();
    let sent = http.requests();
    assert!(sent[0].headers["x-key"].is_sensitive());
}

#[tokio::test]
async fn a_platforms_redirect_is_not_followed() {
    let stranger = answering(ResponseTemplate::new(200).set_body_string("s.t.r")).await;
    let away = ResponseTemplate::new(307).insert_header("Location", stranger.uri());
    let server = answering(away).await;
    let url = server.uri();
    for (toml, variables) in [
        (
            "token = { github = {} }".to_owned(),
            &[
                ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
                ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "runner"),
            ][..],
        ),
        (
            "token = { azure = {} }".into(),
            &[
                ("IDENTITY_ENDPOINT", url.as_str()),
                ("IDENTITY_HEADER", "h"),
            ],
        ),
        (
            "token = { azure = {} }".into(),
            &[
                ("IDENTITY_ENDPOINT", url.as_str()),
                ("IMDS_ENDPOINT", "http://127.0.0.1:40342"),
            ],
        ),
        (format!("token = {{ gcp = {{ endpoint = '{url}' }} }}"), &[]),
        (
            format!("token = {{ gcp = {{ access = true, endpoint = '{url}' }} }}"),
            &[],
        ),
        (
            format!("token = {{ azure = {{ endpoint = '{url}' }} }}"),
            &[],
        ),
        (format!("token = {{ url = '{url}' }}"), &[]),
    ] {
        let refused = outcome(&toml, variables);
        assert_eq!(refused["kind"], "invalid_response", "{toml}");
    }
    assert_eq!(asked(&server).await.len(), 7);
    assert!(asked(&stranger).await.is_empty());
}

#[tokio::test]
async fn a_platform_that_does_not_respond_is_given_up_after_5_s() {
    let _limit = biped_testing::TimeLimit::start();
    for toml in [
        "token = { gcp = { endpoint = 'http://127.0.0.1:1' } }",
        "token = { azure = { endpoint = 'http://127.0.0.1:1' } }",
        "token = { url = 'https://t.example' }",
    ] {
        let (http, clock) = (Arc::new(ScriptedHttp::new()), Arc::new(ManualClock::new()));
        http.answer_with(|_, _| Reply::Silence);
        let (token, _) = source(toml);
        let (asking, time) = (http.clone(), clock.clone());
        let reading = tokio::spawn(async move {
            let cx = FetchContext::new(&*asking, &*time);
            let asking = Asking {
                audience: Some("https://issuer.example"),
                ..Asking::new(&cx)
            };
            token.unwrap().read(&asking).await
        });
        http.arrivals(1).await;
        clock.advance(Duration::from_millis(4999));
        biped_testing::settle().await;
        assert!(!reading.is_finished(), "{toml}");
        clock.advance(Duration::from_millis(1));
        let error = reading.await.unwrap().unwrap_err();
        let verdict = (error.kind(), error.is_transient());
        assert_eq!(verdict, (ErrorKind::Unreachable, true), "{toml}");
        assert!(error.token_source().is_some());
    }
}
