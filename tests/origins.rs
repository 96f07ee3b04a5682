//! A token goes to the origin it is for, and to no other.

use std::sync::Arc;

use biped::{Biped, Builder, Error, ErrorKind, token_error};
use biped_testing::{Reply, ScriptedHttp};
use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path},
};

fn builder(config: &str) -> Builder {
    Biped::builder().without_environment().toml(config)
}

/// The envelope vendor at this server, token endpoint and API.
async fn shop(server: &MockServer) -> Biped {
    let token = json!({ "data": {
        "access_token": "the-token", "token_type": "Bearer", "expires_in": 3600,
    } });
    Mock::given(method("POST"))
        .and(path("/v1/auth/token"))
        .respond_with(ResponseTemplate::new(200).set_body_json(token))
        .mount(server)
        .await;
    let config = format!(
        "[providers.shop]\nkind = \"envelope\"\nbase_url = \"{}\"\nclient_id = \"id\"\n\
         client_secret = \"secret\"\n",
        server.uri()
    );
    builder(&config).build().unwrap()
}

async fn requests(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn a_redirect_to_another_origin_gets_no_token_and_no_visit() {
    let (server, elsewhere) = (MockServer::start().await, MockServer::start().await);
    let biped = shop(&server).await;
    for status in [301, 302, 303, 307, 308] {
        let redirect = ResponseTemplate::new(status)
            .insert_header("location", format!("{}/v1/orders", elsewhere.uri()));
        Mock::given(path("/v1/orders"))
            .respond_with(redirect)
            .up_to_n_times(1)
            .mount(&server)
            .await;
        let call = biped.client("shop").unwrap().get("/v1/orders");
        let response = call.send().await.unwrap();
        assert_eq!(response.status(), status, "the caller sees the redirect");
    }
    assert_eq!(requests(&elsewhere).await, 0);
}

#[tokio::test]
async fn a_redirect_of_the_token_endpoint_does_not_carry_the_secret_away() {
    let (server, elsewhere) = (MockServer::start().await, MockServer::start().await);
    for status in [302, 307, 308] {
        server.reset().await;
        let redirect = ResponseTemplate::new(status)
            .insert_header("location", format!("{}/v1/auth/token", elsewhere.uri()));
        Mock::given(path("/v1/auth/token"))
            .respond_with(redirect)
            .with_priority(1)
            .mount(&server)
            .await;
        let biped = shop(&server).await;
        let token = biped.token_source("shop").unwrap().token().await;
        assert_eq!(
            token.unwrap_err().kind(),
            ErrorKind::InvalidResponse,
            "{status}"
        );
    }
    assert_eq!(requests(&elsewhere).await, 0);
}

#[tokio::test]
async fn a_whole_url_of_another_origin_is_refused_before_anything_is_sent() {
    let (server, elsewhere) = (MockServer::start().await, MockServer::start().await);
    let biped = shop(&server).await;
    let client = biped.client("shop").unwrap();
    let with_user = elsewhere.uri().replace("http://", "http://user:password@");
    for url in [
        format!("{}/v1/orders", elsewhere.uri()),
        format!("{with_user}/v1/orders"),
        format!(
            "{}/v1/orders",
            server.uri().replace("http://", "http://user@")
        ),
        "https://evil.example/v1/orders".into(),
    ] {
        let error = client.get(&url).send().await.unwrap_err();
        let error = token_error(&error).unwrap();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{url}");
        assert!(!format!("{error} {error:?}").contains("password"));
    }
    assert_eq!(requests(&server).await, 0);
    // What looks like another host is a path of this one.
    let place = elsewhere.uri().replace("http:", "");
    let answer = client.get(format!("{place}/v1/orders")).send().await;
    assert_eq!(answer.unwrap().status(), 404);
    assert_eq!(requests(&elsewhere).await, 0);
}

/// What becomes of a call of this URL, and how many tokens are asked for, where `config` has a
/// provider named `it`.
async fn called(config: &str, url: &str) -> (ErrorKind, usize) {
    let vendor = Arc::new(ScriptedHttp::new());
    let granted = json!({
        "access_token": "the-token", "token_type": "bearer", "expires_in": 3600,
        "scope": "data-export", "endpoint": "https://api.eu.contentsquare.com",
    });
    vendor.answer_with(move |_, _| Reply::json(200, &granted.to_string()));
    let biped = builder(config).http_client(vendor.clone());
    let client = biped.build().unwrap().client("it").unwrap();
    let error = client.get(url).send().await.unwrap_err();
    let error = token_error(&error).unwrap_or_else(|| panic!("{url} was called: {error:?}"));
    (error.kind(), vendor.count())
}

#[tokio::test]
async fn a_url_that_no_answer_can_make_right_costs_no_token() {
    const CONTENTSQUARE: &str = "[providers.it]\nkind = 'contentsquare'\nclient_id = 'id'\n\
                                 client_secret = 'secret'\nscope = 'data-export'\n";
    const ENVELOPE: &str = "[providers.it]\nkind = 'envelope'\nclient_id = 'id'\n\
                            client_secret = 'secret'\nbase_url = 'https://api.vendor.example'\n";
    const OAUTH2: &str = "[providers.it]\nkind = 'oauth2'\nclient_id = 'id'\n\
                          client_secret = 'secret'\n\
                          token_endpoint = 'https://login.vendor.example/token'\n";
    let with_api = |config: &str, api: &str| format!("{config}api_base_url = '{api}'\n");
    for config in [
        CONTENTSQUARE,
        &with_api(CONTENTSQUARE, "https://api.proxy.example"),
        ENVELOPE,
        &with_api(ENVELOPE, "https://orders.vendor.example"),
        OAUTH2,
        &with_api(OAUTH2, "https://api.vendor.example"),
    ] {
        for url in [
            "https://evil.example/v1/exports",
            "https://api.contentsquare.com.evil.example/",
            "https://api.contentsquare.com:8443/",
            "http://api.contentsquare.com/",
            "https://user:password@api.contentsquare.com/",
            "https://user@api.vendor.example/",
            "https://api.vendor.example:8443/",
            "http://127.0.0.1:1/",
        ] {
            let outcome = called(config, url).await;
            assert_eq!(outcome, (ErrorKind::Configuration, 0), "{url} {config}");
        }
    }
    // Which of the vendor's clouds it is, only the token can tell.
    let outcome = called(CONTENTSQUARE, "https://api.us.contentsquare.com/").await;
    assert_eq!(outcome, (ErrorKind::Configuration, 1));
}

/// What the first call is told where the token endpoint names this base URL.
async fn told_of(base_url: &str, token_endpoint: Option<&str>) -> Result<u16, Error> {
    let answer = json!({
        "access_token": "the-token", "token_type": "bearer", "expires_in": 3600,
        "scope": "data-export", "project_id": 42, "endpoint": base_url,
    });
    let vendor = MockServer::start().await;
    Mock::given(path("/v1/oauth/token"))
        .respond_with(ResponseTemplate::new(200).set_body_json(&answer))
        .mount(&vendor)
        .await;
    let at = token_endpoint.map_or_else(|| format!("{}/v1/oauth/token", vendor.uri()), Into::into);
    let config = format!(
        "[providers.analytics]\nkind = \"contentsquare\"\ntoken_endpoint = \"{at}\"\n\
         client_id = \"id\"\nclient_secret = \"secret\"\nscope = \"data-export\"\n"
    );
    let mut builder = builder(&config);
    if token_endpoint.is_some() {
        let scripted = ScriptedHttp::new();
        scripted.answer_with(move |_, _| Reply::json(200, &answer.to_string()));
        builder = builder.http_client(Arc::new(scripted));
    }
    let biped = builder.build().unwrap();
    let sent = biped
        .client("analytics")
        .unwrap()
        .get("/v1/exports")
        .send()
        .await;
    sent.map(|response| response.status().as_u16())
        .map_err(|error| token_error(&error).expect("nothing was sent").clone())
}

#[tokio::test]
async fn a_base_url_that_the_vendor_names_is_checked_before_a_token_is_sent_there() {
    const EVIL: [&str; 18] = [
        "https://contentsquare.com.evil.example",
        "https://evilcontentsquare.com",
        "https://evil.example/contentsquare.com",
        "https://evil.example?contentsquare.com",
        "https://evil.example#contentsquare.com",
        "https://evil.example\\.contentsquare.com",
        "https://api.contentsquare.com@evil.example",
        "https://user@api.contentsquare.com",
        "https://user:password@api.contentsquare.com",
        "https://api.contentsquare.com:8443",
        "https://api.contentsquare.com:444/v1",
        "http://api.contentsquare.com",
        "ftp://api.contentsquare.com",
        "https://10.0.0.1",
        "https://[::ffff:10.0.0.1]",
        "//api.contentsquare.com",
        "api.contentsquare.com",
        "javascript:alert(1)",
    ];
    for real in [None, Some("https://api.contentsquare.com/v1/oauth/token")] {
        for evil in EVIL {
            let error = told_of(evil, real).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{evil}");
            assert!(!error.to_string().contains("password"), "{error}");
        }
    }
}

#[tokio::test]
async fn only_a_token_endpoint_on_loopback_may_name_a_base_url_there() {
    let api = MockServer::start().await;
    Mock::given(path("/v1/exports"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&api)
        .await;
    let real = "https://api.contentsquare.com/v1/oauth/token";
    let local = [
        api.uri(),
        api.uri().replace("127.0.0.1", "localhost"),
        api.uri().replace("http:", "https:"),
    ];
    for url in &local {
        let error = told_of(url, Some(real)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidResponse, "{url}");
    }
    assert_eq!(requests(&api).await, 0);
    assert_eq!(told_of(&api.uri(), None).await.unwrap(), 200);
}
