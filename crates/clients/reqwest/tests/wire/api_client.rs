use std::{future::ready, pin::pin, sync::Arc, time::Duration};

use biped_core::{Clock as _, ErrorKind, IdentityRef, SecretRef, SystemClock};
use biped_reqwest::{ApiClients, HttpSettings, TokenMiddleware, connection_error, token_error};
use bytes::Bytes;
use http_body::Frame;
use reqwest::{Body, Method};
use reqwest_middleware::{ClientBuilder, Next};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Notify, mpsc},
};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any, body_string, header, path, query_param},
};

use crate::{
    everything,
    servers::{no_server, raw, write_and_stall},
    sooner_than,
    tls::Ca,
    vendor::{Carries, Peeks, TestClock, Vendor},
};

const SHORT: Duration = Duration::from_millis(100);

/// What takes that long hangs, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(300);

async fn answering(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(response)
        .mount(&server)
        .await;
    server
}

async fn unvisited() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200))
        .expect(0)
        .mount(&server)
        .await;
    server
}

/// What came, as `METHOD path?query authorization`.
async fn received(server: &MockServer) -> Vec<String> {
    let all = server.received_requests().await.unwrap();
    all.iter()
        .map(|request| {
            let token = request
                .headers
                .get("authorization")
                .map(|value| value.to_str().unwrap());
            let query = request
                .url
                .query()
                .map(|query| format!("?{query}"))
                .unwrap_or_default();
            format!(
                "{} {}{query} {}",
                request.method,
                request.url.path(),
                token.unwrap_or("-")
            )
        })
        .collect()
}

/// A request body that comes piece by piece.
struct Pieces(mpsc::Receiver<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0
            .poll_recv(cx)
            .map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

fn pieces() -> (mpsc::Sender<Bytes>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Body::wrap(Pieces(receiver)))
}

#[tokio::test]
async fn each_method_sends_its_request_with_the_token() {
    let server = answering(ResponseTemplate::new(200)).await;
    let client = Vendor::new().client(&server.uri());
    for request in [
        client.get("/a"),
        client.post("/a"),
        client.put("/a"),
        client.patch("/a"),
        client.delete("/a"),
        client.head("/a"),
        client.request(http::Method::OPTIONS, "/a"),
    ] {
        request.send().await.unwrap();
    }
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    let expected: Vec<_> = methods
        .iter()
        .map(|method| format!("{method} /a Bearer token-1"))
        .collect();
    assert_eq!(received(&server).await, expected);
    let first = &server.received_requests().await.unwrap()[0];
    assert_eq!(
        first.headers["user-agent"],
        concat!("biped/", env!("CARGO_PKG_VERSION"))
    );
}

#[tokio::test]
async fn a_path_stays_below_the_base_url() {
    let server = answering(ResponseTemplate::new(200)).await;
    let client = Vendor::new().client(&format!("{}/eu/", server.uri()));
    for (given, expected) in [
        ("/v1/exports", "/eu/v1/exports"),
        ("v1/exports", "/eu/v1/exports"),
        ("", "/eu/"),
        (
            "/v1/speed-analysis/monitoring list",
            "/eu/v1/speed-analysis/monitoring%20list",
        ),
        (" a\tb\nc ", "/eu/%20a%09b%0Ac%20"),
        ("/v1/jobs?state=done&n=1", "/eu/v1/jobs?state=done&n=1"),
        ("/v1/jobs:run", "/eu/v1/jobs:run"),
        ("mailto:v1", "/eu/mailto:v1"),
        ("//evil.example/x", "/eu//evil.example/x"),
        ("\\\\evil.example\\x", "/eu///evil.example/x"),
        ("@evil.example/x", "/eu/@evil.example/x"),
        (":8080/x", "/eu/:8080/x"),
        (".evil.example/x", "/eu/.evil.example/x"),
        ("/../../x", "/eu/x"),
        ("/%2e%2e/%2E./x", "/eu/x"),
        ("/a\\..\\..\\x", "/eu/x"),
    ] {
        client.get(given).send().await.unwrap();
        let last = received(&server).await.pop().unwrap();
        assert_eq!(last, format!("GET {expected} Bearer token-1"), "{given}");
    }
}

#[tokio::test]
async fn a_fragment_is_refused_and_not_dropped() {
    let server = answering(ResponseTemplate::new(200)).await;
    let vendor = Vendor {
        refuses: true,
        ..Vendor::new()
    };
    let without_token = vendor.client(&server.uri());
    let with_token = Vendor::new().client(&server.uri());
    with_token.get("/%23").send().await.unwrap();
    for client in [without_token, with_token] {
        for path in ["/a#b", "#", "/a?b=c#d", &format!("{}/a#b", server.uri())] {
            let error = client.get(path).send().await.unwrap_err();
            let error = token_error(&error).unwrap();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{path}");
            assert!(error.remedy().unwrap().contains("%23"), "{error}");
        }
    }
    assert_eq!(received(&server).await, ["GET /%23 Bearer token-1"]);
}

#[tokio::test]
async fn a_base_url_with_a_query_or_a_fragment_is_refused() {
    let server = unvisited().await;
    for rest in ["/eu?key=planted", "/#planted"] {
        let client = Vendor::new().client(&format!("{}{rest}", server.uri()));
        let error = client.get("/v1").send().await.unwrap_err();
        let error = token_error(&error).unwrap();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{rest}");
        assert!(error.message().contains("base URL"), "{error}");
        assert!(!everything(error).contains("planted"), "{error:?}");
    }
}

#[tokio::test]
async fn a_query_is_added_to_the_path() {
    let server = answering(ResponseTemplate::new(200)).await;
    let client = Vendor::new().client(&server.uri());
    client
        .get("/a?b=c")
        .query(&[("d", "e f")])
        .send()
        .await
        .unwrap();
    assert_eq!(received(&server).await, ["GET /a?b=c&d=e+f Bearer token-1"]);
}

#[tokio::test]
async fn a_whole_url_is_called_at_the_apis_origin_only() {
    let server = answering(ResponseTemplate::new(200)).await;
    let other = unvisited().await;
    let client = Vendor::new().client(&format!("{}/eu", server.uri()));

    client
        .get(format!("{}/next?page=2", server.uri()))
        .send()
        .await
        .unwrap();
    assert_eq!(received(&server).await, ["GET /next?page=2 Bearer token-1"]);

    let host = server.uri().replace("http://", "");
    for url in [
        other.uri(),
        other.uri().replace("http", "HTTP"),
        format!("https://{host}/"),
        format!("http://{host}@{}/", other.address()),
        format!("http://user@{host}/"),
        format!("http://user:password@{host}/"),
    ] {
        let error = client.get(&url).send().await.unwrap_err();
        let error = token_error(&error).unwrap();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{url}");
        assert!(error.remedy().is_some());
        assert!(!everything(error).contains("password"), "{error:?}");
    }
    assert_eq!(received(&server).await.len(), 1);
}

#[tokio::test]
async fn a_url_that_is_none_is_the_callers_error() {
    let server = unvisited().await;
    let client = Vendor::new().client(&server.uri());
    let error = client.get("https://[not-an-address/").send().await;
    assert!(error.unwrap_err().is_builder());
}

#[tokio::test]
async fn an_authorization_of_the_callers_own_gives_way_to_the_token() {
    let server = answering(ResponseTemplate::new(200)).await;
    let source = Vendor::new().source(&server.uri());
    let stack = ClientBuilder::new(reqwest::Client::new())
        .with(TokenMiddleware::new(source.clone()))
        .with(ApiClients::new().unwrap())
        .build();
    let client = ApiClients::new().unwrap().client(source);
    let with_user = server.uri().replace("http://", "http://user:password@");
    for request in [
        client.get("/").bearer_auth("mine"),
        client
            .get("/")
            .basic_auth("me", Some("mine"))
            .bearer_auth("mine"),
        stack.get(server.uri()).header("Authorization", "mine"),
        // reqwest makes a header of it before anybody sees it.
        stack.get(with_user),
    ] {
        request.send().await.unwrap();
    }
    for request in server.received_requests().await.unwrap() {
        let sent: Vec<_> = request.headers.get_all("authorization").iter().collect();
        assert_eq!(sent, ["Bearer token-1"]);
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let server = unvisited().await;
    let vendor = Vendor {
        refuses: true,
        ..Vendor::new()
    };
    let error = vendor
        .client(&server.uri())
        .get("/")
        .send()
        .await
        .unwrap_err();
    assert_eq!(token_error(&error).unwrap().kind(), ErrorKind::Refused);
}

#[tokio::test]
async fn a_failure_of_the_call_itself_is_reqwests() {
    let origin = no_server();
    let client = Vendor::new().client(&origin);
    let error = client.get("/x?a=b").send().await.unwrap_err();
    assert!(error.is_connect());
    assert!(token_error(&error).is_none());
    assert_eq!(error.url().unwrap().as_str(), format!("{origin}/"));
    let reqwest_middleware::Error::Reqwest(error) = error else {
        panic!("{error:?}");
    };
    let told = connection_error(&error).unwrap().to_string();
    let place = origin.trim_start_matches("http://");
    assert!(
        told.starts_with(&format!("{place} refuses the connection; check")),
        "{told}"
    );
}

#[tokio::test]
async fn a_call_that_had_a_connection_has_no_connection_error() {
    let closed = raw(async |stream, _| drop(stream)).await;
    let client = Vendor::new().client(&closed);
    let error = client.get("/x").send().await.unwrap_err();
    let reqwest_middleware::Error::Reqwest(error) = error else {
        panic!("{error:?}");
    };
    assert!(connection_error(&error).is_none(), "{error:?}");
}

#[tokio::test]
async fn a_rejected_token_is_replaced_and_the_request_sent_once_more() {
    let server = MockServer::start().await;
    Mock::given(header("authorization", "Bearer token-1"))
        .respond_with(ResponseTemplate::new(401))
        .mount(&server)
        .await;
    Mock::given(header("authorization", "Bearer token-2"))
        .and(body_string("{\"a\":1}"))
        .respond_with(ResponseTemplate::new(201))
        .mount(&server)
        .await;
    let client = Vendor::new().client(&server.uri());
    let body = serde_json::json!({ "a": 1 });
    let response = client.post("/jobs").json(&body).send().await.unwrap();
    assert_eq!(response.status(), 201);
    let expected = ["POST /jobs Bearer token-1", "POST /jobs Bearer token-2"];
    assert_eq!(received(&server).await, expected);
}

#[tokio::test]
async fn the_answer_to_the_second_token_is_the_callers() {
    let server = answering(ResponseTemplate::new(401).set_body_string("go away")).await;
    let response = Vendor::new()
        .client(&server.uri())
        .get("/")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.text().await.unwrap(), "go away");
    assert_eq!(
        received(&server).await,
        ["GET / Bearer token-1", "GET / Bearer token-2"]
    );
}

#[tokio::test]
async fn a_stream_is_not_sent_again_but_its_token_is_replaced() {
    let server = MockServer::start().await;
    Mock::given(header("authorization", "Bearer token-1"))
        .respond_with(ResponseTemplate::new(401))
        .mount(&server)
        .await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let client = Vendor::new().client(&server.uri());

    let (sender, body) = pieces();
    sender.send("all of it".into()).await.unwrap();
    drop(sender);
    let response = client.post("/upload").body(body).send().await.unwrap();
    assert_eq!(response.status(), 401);

    client.get("/next").send().await.unwrap();
    let expected = ["POST /upload Bearer token-1", "GET /next Bearer token-2"];
    assert_eq!(received(&server).await, expected);
}

#[tokio::test]
async fn a_body_that_tells_of_a_rejection_is_read_ahead() {
    let server = MockServer::start().await;
    Mock::given(header("authorization", "Bearer token-1"))
        .respond_with(
            ResponseTemplate::new(200).set_body_json(serde_json::json!({ "error": "expired" })),
        )
        .mount(&server)
        .await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_json(serde_json::json!({ "ok": true })))
        .mount(&server)
        .await;
    let client = Vendor {
        judges_bodies: true,
        ..Vendor::new()
    }
    .client(&server.uri());
    let response = client.get("/a?b=c").send().await.unwrap();
    assert_eq!(response.url().as_str(), format!("{}/a?b=c", server.uri()));
    assert_eq!(response.content_length(), Some(11));
    assert_eq!(response.text().await.unwrap(), "{\"ok\":true}");
    assert_eq!(received(&server).await.len(), 2);
}

#[tokio::test]
async fn an_error_tells_of_a_rejection_whatever_its_label() {
    for label in [None, Some("text/plain"), Some("text/html"), Some("?")] {
        let server = MockServer::start().await;
        let mut rejection = ResponseTemplate::new(403).set_body_bytes("{\"error\":\"expired\"}");
        if let Some(label) = label {
            rejection = rejection.insert_header("Content-Type", label);
        }
        Mock::given(header("authorization", "Bearer token-1"))
            .respond_with(rejection)
            .mount(&server)
            .await;
        Mock::given(any())
            .respond_with(ResponseTemplate::new(200).set_body_string("{}"))
            .mount(&server)
            .await;
        let client = Vendor {
            judges_bodies: true,
            ..Vendor::new()
        }
        .client(&server.uri());
        let response = client.get("/").send().await.unwrap();
        assert_eq!(response.status(), 200, "{label:?}");
        assert_eq!(received(&server).await.len(), 2);
    }
}

#[tokio::test]
async fn a_stream_is_not_held_up_by_reading_ahead() {
    let go_on = Arc::new(Notify::new());
    let origin = raw({
        let go_on = go_on.clone();
        move |mut stream, _| {
            let go_on = go_on.clone();
            async move {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                            Transfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n";
                stream.write_all(head.as_bytes()).await.unwrap();
                go_on.notified().await;
                stream.write_all(b"2\r\n2]\r\n0\r\n\r\n").await.unwrap();
            }
        }
    })
    .await;
    let vendor = Vendor {
        judges_bodies: true,
        ..Vendor::new()
    };
    let source = vendor.source_by(TestClock::new(Peeks::Pass), &origin);
    let client = ApiClients::new().unwrap().client(source);

    let mut response = client.get("/").send().await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "[1,");
    go_on.notify_one();
    assert_eq!(response.text().await.unwrap(), "2]");
}

#[tokio::test]
async fn a_body_longer_than_is_worth_reading_passes_whole() {
    let body = format!("[{}]", "1,".repeat(1000));
    let origin = raw({
        let body = body.clone();
        move |mut stream, _| {
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{body}"
            );
            async move { stream.write_all(answer.as_bytes()).await.unwrap() }
        }
    })
    .await;
    let client = Vendor {
        judges_bodies: true,
        ..Vendor::new()
    }
    .client(&origin);
    assert_eq!(
        client.get("/").send().await.unwrap().text().await.unwrap(),
        body
    );
}

#[tokio::test]
async fn a_body_cut_off_while_read_ahead_is_the_callers_error() {
    let origin = raw(async |mut stream, _| {
        let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                      Content-Length: 100\r\n\r\n{\"a\":";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let vendor = Vendor {
        judges_bodies: true,
        carries: Carries::Query,
        ..Vendor::new()
    };
    let mut response = vendor.client(&origin).get("/").send().await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "{\"a\":");
    let error = response.chunk().await.unwrap_err();
    assert!(!everything(&error).contains("token-1"), "{error:?}");
}

/// A server that redirects `/old` to `/new` with this status, by this location.
async fn moved(status: u16, location: impl Fn(&MockServer) -> String) -> MockServer {
    let server = MockServer::start().await;
    let location = location(&server);
    Mock::given(path("/old"))
        .respond_with(ResponseTemplate::new(status).insert_header("Location", &*location))
        .mount(&server)
        .await;
    Mock::given(path("/new"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn a_redirect_within_the_origin_is_followed_with_token_and_body() {
    let mut cases: Vec<_> = [301, 302, 303, 307, 308]
        .into_iter()
        .flat_map(|status| [(status, Method::GET, ""), (status, Method::HEAD, "")])
        .collect();
    for status in [307, 308] {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            cases.push((status, method, "seven"));
        }
    }
    for (status, method, body) in cases {
        let server = moved(status, |_| "/new".into()).await;
        let client = Vendor::new().client(&server.uri());
        let mut request = client.request(method.clone(), "/old");
        if !body.is_empty() {
            request = request.body(body);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{status}");
        assert_eq!(response.url().path(), "/new");
        let expected = ["/old", "/new"].map(|path| format!("{method} {path} Bearer token-1"));
        assert_eq!(received(&server).await, expected, "{status}");
        let all = server.received_requests().await.unwrap();
        assert_eq!(all[1].body, body.as_bytes(), "{status}");
        assert!(all.iter().all(|one| !one.headers.contains_key("referer")));
    }
}

#[tokio::test]
async fn a_redirect_that_would_lose_method_or_body_is_the_callers() {
    for status in [301, 302, 303] {
        for (method, body) in [
            (Method::POST, "seven"),
            (Method::POST, ""),
            (Method::PUT, "seven"),
            (Method::PATCH, "seven"),
            (Method::DELETE, ""),
            (Method::GET, "seven"),
        ] {
            let server = moved(status, |_| "/new".into()).await;
            let client = Vendor::new().client(&server.uri());
            let mut request = client.request(method.clone(), "/old");
            if !body.is_empty() {
                request = request.body(body);
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), status, "{method}");
            assert_eq!(response.headers()["location"], "/new");
            let expected = [format!("{method} /old Bearer token-1")];
            assert_eq!(received(&server).await, expected, "{status}");
        }
    }
}

#[tokio::test]
async fn a_redirect_of_a_stream_is_the_callers() {
    let server = moved(307, |_| "/new".into()).await;
    let client = Vendor::new().client(&server.uri());
    let (sender, body) = pieces();
    sender.send("all of it".into()).await.unwrap();
    drop(sender);
    let response = client.post("/old").body(body).send().await.unwrap();
    assert_eq!(response.status(), 307);
    assert_eq!(received(&server).await, ["POST /old Bearer token-1"]);
}

#[tokio::test]
async fn a_user_name_in_a_redirect_is_not_sent() {
    let with_user =
        |server: &MockServer| format!("{}/new", server.uri().replace("//", "//user:password@"));
    let server = moved(307, with_user).await;
    let client = Vendor::new().client(&server.uri());
    assert_eq!(client.get("/old").send().await.unwrap().status(), 200);
    for request in server.received_requests().await.unwrap() {
        let sent: Vec<_> = request.headers.get_all("authorization").iter().collect();
        assert_eq!(sent, ["Bearer token-1"]);
    }
}

#[tokio::test]
async fn a_rejection_behind_a_redirect_is_replayed_from_the_start() {
    let server = MockServer::start().await;
    Mock::given(path("/old"))
        .respond_with(ResponseTemplate::new(307).insert_header("Location", "/new"))
        .mount(&server)
        .await;
    Mock::given(header("authorization", "Bearer token-1"))
        .respond_with(ResponseTemplate::new(401))
        .mount(&server)
        .await;
    Mock::given(body_string("seven"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let client = Vendor::new().client(&server.uri());
    let response = client.post("/old").body("seven").send().await.unwrap();
    assert_eq!(response.status(), 200);
    let paths = ["/old", "/new"];
    let expected: Vec<_> = ["token-1", "token-2"]
        .iter()
        .flat_map(|token| paths.map(|path| format!("POST {path} Bearer {token}")))
        .collect();
    assert_eq!(received(&server).await, expected);
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_the_callers() {
    let other = unvisited().await;
    for carries in [Carries::Authorization, Carries::Header, Carries::Query] {
        let location = format!("{}/download", other.uri());
        let server =
            answering(ResponseTemplate::new(307).insert_header("Location", &*location)).await;
        let client = Vendor {
            carries,
            ..Vendor::new()
        }
        .client(&server.uri());
        let response = client.get("/").send().await.unwrap();
        assert_eq!(response.status(), 307);
        assert_eq!(response.headers()["location"], *location);
    }
}

#[tokio::test]
async fn redirects_without_end_are_given_up() {
    let server = answering(ResponseTemplate::new(302).insert_header("Location", "/again")).await;
    let response = Vendor::new()
        .client(&server.uri())
        .get("/")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 302);
    assert_eq!(received(&server).await.len(), 11);
}

#[tokio::test]
async fn a_url_that_is_signed_or_holds_the_token_is_not_left() {
    for vendor in [
        Vendor {
            signs_url: true,
            ..Vendor::new()
        },
        Vendor {
            carries: Carries::Query,
            ..Vendor::new()
        },
    ] {
        let server = answering(ResponseTemplate::new(302).insert_header("Location", "/new")).await;
        let response = vendor
            .client(&server.uri())
            .get("/old")
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 302);
        assert_eq!(received(&server).await.len(), 1);
    }
}

#[tokio::test]
async fn a_token_in_the_url_is_sent_and_shown_nowhere() {
    let server = MockServer::start().await;
    Mock::given(query_param("token", "token-1"))
        .and(query_param("a", "b"))
        .respond_with(ResponseTemplate::new(404))
        .mount(&server)
        .await;
    let client = Vendor {
        carries: Carries::Query,
        ..Vendor::new()
    }
    .client(&server.uri());
    let response = client.get("/x?a=b").send().await.unwrap();
    assert_eq!(response.url().as_str(), format!("{}/x?a=b", server.uri()));
    assert!(!format!("{response:?}").contains("token-1"));
    let error = response.error_for_status().unwrap_err();
    assert!(!everything(&error).contains("token-1"), "{error:?}");
    assert!(!format!("{client:?}").contains("token-1"));

    let vendor = Vendor {
        carries: Carries::Query,
        ..Vendor::new()
    };
    let error = vendor
        .client(&no_server())
        .get("/x")
        .send()
        .await
        .unwrap_err();
    assert!(!everything(&error).contains("token-1"), "{error:?}");

    let cut = raw(async |mut stream, _| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
            .await
            .unwrap();
    })
    .await;
    let vendor = Vendor {
        carries: Carries::Query,
        ..Vendor::new()
    };
    let error = vendor
        .client(&cut)
        .get("/x")
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap_err();
    assert!(!everything(&error).contains("token-1"), "{error:?}");
}

#[tokio::test]
async fn a_silent_api_is_given_up_before_and_within_its_answer() {
    let settings = HttpSettings::new().read_timeout(SHORT);
    let mute = raw(|stream, _| write_and_stall(stream, "")).await;
    let client = Vendor::new().client_with(settings, &mute);
    let by_default = Vendor::new().client(&mute);
    let given_up = sooner_than(by_default.get("/").send(), client.get("/").send());
    assert!(given_up.await.unwrap_err().is_timeout());

    let stalls =
        raw(|stream, _| write_and_stall(stream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"))
            .await;
    // A machine that is busy may take longer for the first half of the answer: then it gets more.
    for patience in (0..).map(|doubled| SHORT * 2_u32.pow(doubled)) {
        let settings = HttpSettings::new().read_timeout(patience);
        let client = Vendor::new().client_with(settings, &stalls);
        let Ok(mut response) = client.get("/").send().await else {
            continue;
        };
        let Ok(begin) = response.chunk().await else {
            continue;
        };
        assert_eq!(begin.unwrap(), "{");
        assert!(response.chunk().await.unwrap_err().is_timeout());
        break;
    }

    // A long upload counts no silence before the headers, and then as any other call.
    let client = Vendor::new().client_with(HttpSettings::new().read_timeout(SHORT), &stalls);
    let upload = client.post("/").body(vec![b'x'; 100_000]).send();
    let failed = upload.await.unwrap().bytes().await.unwrap_err();
    assert!(failed.is_timeout(), "{failed:?}");
}

#[tokio::test]
async fn an_upload_may_take_longer_than_an_api_may_be_silent() {
    let origin = raw(async |mut stream, _| {
        let mut last = [0; 4];
        while &last != b"\r\n\r\n" {
            last.rotate_left(1);
            last[3] = stream.read_u8().await.unwrap();
        }
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
    })
    .await;
    let mute = raw(|stream, _| write_and_stall(stream, "")).await;
    let client = Vendor::new().client_with(HttpSettings::new().read_timeout(SHORT), &origin);
    let other = Vendor::new().client_with(HttpSettings::new().read_timeout(SHORT * 2), &mute);

    let (sender, body) = pieces();
    sender.send("first".into()).await.unwrap();
    let mut upload = pin!(client.post("/").body(body).send());
    tokio::select! {
        biased;
        ended = &mut upload => panic!("{ended:?}"),
        // The time that an API may be silent is over when this is.
        silence = other.get("/").send() => assert!(silence.unwrap_err().is_timeout()),
    }
    drop(sender);
    assert_eq!(upload.await.unwrap().status(), 204);
}

#[tokio::test]
async fn a_body_of_any_size_streams() {
    let origin = raw(async |mut stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
    })
    .await;
    let mut response = Vendor::new().client(&origin).get("/").send().await.unwrap();
    let mut read = 0;
    while read < 8 * 1024 * 1024 {
        read += response.chunk().await.unwrap().unwrap().len();
    }
}

#[tokio::test]
async fn a_token_bound_to_a_certificate_goes_over_its_connections() {
    let ca = Ca::new();
    let origin = ca.serve(&ca.leaf("localhost"), true).await;
    let leaf = ca.leaf("client.example");
    let identity = IdentityRef {
        certificate: SecretRef::inline(leaf.pem()),
        key: SecretRef::inline(leaf.key_pem()),
    };
    let vendor = Vendor {
        identity: Some(identity),
        ..Vendor::new()
    };
    let response = vendor
        .client_with(ca.settings(), &origin)
        .get("/")
        .send()
        .await
        .unwrap();
    assert_eq!(response.bytes().await.unwrap(), leaf.der());

    let unbound = Vendor::new().client_with(ca.settings(), &origin);
    assert!(unbound.get("/").send().await.is_err());
}

#[tokio::test]
async fn a_call_counts_until_its_body_is_gone() {
    let server = answering(ResponseTemplate::new(200).set_body_string("body")).await;
    let client = Vendor::new()
        .client(&server.uri())
        .max_concurrent_requests(1);
    let project = client.param("project_id", 7);

    let first = client.get("/first").send().await.unwrap();
    let mut second = pin!(client.clone().get("/second").send());
    let held = tokio::select! {
        biased;
        _ = &mut second => panic!("two at once"),
        // Another project has a bound of its own.
        other = project.get("/other").send() => other.unwrap(),
    };
    assert_eq!(first.text().await.unwrap(), "body");
    let second = second.await.unwrap();

    let again = client.param("project_id", 7);
    let mut third = pin!(again.get("/third").send());
    drop(second);
    tokio::select! {
        biased;
        _ = &mut third => panic!("the same project has the same bound"),
        fourth = client.get("/fourth").send() => drop(fourth.unwrap()),
    }
    drop(held);
    third.await.unwrap();
}

#[tokio::test]
async fn a_call_ends_with_its_body_though_the_response_is_kept() {
    let whole = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n\r\n";
    let cut_off = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{";
    for answer in [whole, cut_off] {
        let origin = raw(async |mut stream, _| {
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let client = Vendor::new().client(&origin).max_concurrent_requests(1);
        let mut kept = Vec::new();
        for _ in 0..2 {
            let mut response = tokio::select! {
                response = client.get("/").send() => response.unwrap(),
                () = SystemClock.sleep(PATIENCE) => panic!("the one before still counts"),
            };
            while let Ok(Some(_)) = response.chunk().await {}
            kept.push(response);
        }
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_or_fails_makes_room() {
    let mute = raw(|stream, _| write_and_stall(stream, "")).await;
    let client = Vendor::new().client(&mute).max_concurrent_requests(1);
    {
        let mut dropped = pin!(client.get("/").send());
        let waiting = pin!(client.get("/").send());
        tokio::select! {
            biased;
            _ = &mut dropped => panic!("there was no response"),
            _ = waiting => panic!("two at once"),
            () = ready(()) => {}
        }
    }
    for _ in 0..2 {
        let failing = client.get("https://evil.example/").send();
        let failed = tokio::select! {
            failed = failing => failed.unwrap_err(),
            () = SystemClock.sleep(PATIENCE) => panic!("the one before still counts"),
        };
        assert!(token_error(&failed).is_some());
    }
}

#[tokio::test]
async fn a_bounded_call_is_replayed_within_its_bound() {
    let server = MockServer::start().await;
    Mock::given(header("authorization", "Bearer token-1"))
        .respond_with(ResponseTemplate::new(401))
        .mount(&server)
        .await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let client = Vendor::new()
        .client(&server.uri())
        .max_concurrent_requests(1);
    assert_eq!(client.get("/").send().await.unwrap().status(), 200);
    assert_eq!(client.head("/").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn each_attempt_of_a_retry_before_it_asks_for_a_token() {
    let server = MockServer::start().await;
    Mock::given(header("authorization", "Bearer token-1"))
        .respond_with(ResponseTemplate::new(503))
        .mount(&server)
        .await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let source = Vendor::new().source(&server.uri());
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(Retry(source.clone()))
        .with(TokenMiddleware::new(source))
        .with(ApiClients::new().unwrap())
        .build();
    let response = client
        .get(format!("{}/a", server.uri()))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        received(&server).await,
        ["GET /a Bearer token-1", "GET /a Bearer token-2"]
    );
}

/// Tries twice; in between another caller learns that the token is rejected.
struct Retry(biped_engine::TokenSource);

#[biped_core::async_trait]
impl reqwest_middleware::Middleware for Retry {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let again = request.try_clone().unwrap();
        let first = next.clone().run(request, extensions).await?;
        assert_eq!(first.status(), 503);
        let token = self.0.token().await.unwrap();
        self.0.reject(&token);
        drop(token);
        next.run(again, extensions).await
    }
}

#[tokio::test]
async fn what_failed_for_want_of_a_token_says_so_however_it_is_wrapped() {
    for shows_itself in [true, false] {
        let vendor = Vendor {
            refuses: true,
            ..Vendor::new()
        };
        let at = no_server();
        let client = ClientBuilder::new(reqwest::Client::new())
            .with(Wrapping { shows_itself })
            .with(Wrapping { shows_itself })
            .with(TokenMiddleware::new(vendor.source(&at)))
            .build();
        let error = client.get(&at).send().await.unwrap_err();
        let found = token_error(&error).expect("Biped's own error");
        assert_eq!(found.kind(), ErrorKind::Refused);
    }
}

/// Wraps errors, as retries do.
struct Wrapping {
    shows_itself: bool,
}

#[biped_core::async_trait]
impl reqwest_middleware::Middleware for Wrapping {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        next.run(request, extensions).await.map_err(|error| {
            reqwest_middleware::Error::middleware(Wrapped {
                error,
                shows_itself: self.shows_itself,
            })
        })
    }
}

/// Stands before an error, or in its place.
#[derive(Debug)]
struct Wrapped {
    error: reqwest_middleware::Error,
    shows_itself: bool,
}

impl std::fmt::Display for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if self.shows_itself {
            Some(&self.error)
        } else {
            self.error.source()
        }
    }
}

#[tokio::test]
async fn a_retry_below_the_token_goes_over_the_same_connections() {
    let server = MockServer::start().await;
    Mock::given(path("/old"))
        .respond_with(ResponseTemplate::new(302).insert_header("Location", "/new"))
        .mount(&server)
        .await;
    let vendor = Vendor {
        signs_url: true,
        ..Vendor::new()
    };
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(TokenMiddleware::new(vendor.source(&server.uri())))
        .with(Twice)
        .with(ApiClients::new().unwrap())
        .build();
    let url = format!("{}/old", server.uri());
    assert_eq!(client.get(url).send().await.unwrap().status(), 302);
    assert_eq!(received(&server).await, ["GET /old Bearer token-1"; 2]);
}

/// Sends everything again.
struct Twice;

#[biped_core::async_trait]
impl reqwest_middleware::Middleware for Twice {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let again = request.try_clone().unwrap();
        drop(next.clone().run(request, extensions).await?);
        next.run(again, extensions).await
    }
}

#[tokio::test]
async fn at_the_end_of_a_stack_the_stacks_own_client_is_not_used() {
    let other = unvisited().await;
    let location = other.uri();
    let server = answering(ResponseTemplate::new(307).insert_header("Location", &*location)).await;
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(TokenMiddleware::new(Vendor::new().source(&server.uri())))
        .with(ApiClients::new().unwrap())
        .build();
    assert_eq!(client.get(server.uri()).send().await.unwrap().status(), 307);
}

#[tokio::test]
async fn a_stacks_own_client_can_send() {
    let server = answering(ResponseTemplate::new(200)).await;
    let client = ClientBuilder::new(reqwest::Client::builder().no_proxy().build().unwrap())
        .with(TokenMiddleware::new(Vendor::new().source(&server.uri())))
        .build();
    client
        .get(format!("{}/a", server.uri()))
        .send()
        .await
        .unwrap();
    assert_eq!(received(&server).await, ["GET /a Bearer token-1"]);

    let vendor = Vendor {
        carries: Carries::Query,
        ..Vendor::new()
    };
    let at = no_server();
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(TokenMiddleware::new(vendor.source(&at)))
        .build();
    let error = client.get(&at).send().await.unwrap_err();
    assert!(!everything(&error).contains("token-1"), "{error:?}");
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
    let server = serving.block_on(answering(ResponseTemplate::new(200)));
    let client = Vendor::new().client(&server.uri());
    let standing = runtime();
    standing.block_on(client.get("/").send()).unwrap();
    // Its connection is kept, but its runtime does not run any more.
    runtime().block_on(client.get("/").send()).unwrap();
    standing.block_on(client.get("/").send()).unwrap();
}
