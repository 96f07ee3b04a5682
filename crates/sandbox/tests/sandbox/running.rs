use std::{net::TcpListener, time::Duration};

use biped_sandbox::{Platforms, Sandbox};
use biped_testing::TimeLimit;
use reqwest::StatusCode;
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{Bench, client, json_of, send, status_of};

#[tokio::test]
async fn a_fixed_port_gives_three_in_a_row() {
    // Whether the next two are free can't be known before; some try succeeds.
    for _ in 0..50 {
        let port = TcpListener::bind(("127.0.0.1", 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let Ok(sandbox) = Sandbox::builder().port(port).start().await else {
            continue;
        };
        assert_eq!(sandbox.url(), format!("http://127.0.0.1:{port}"));
        let clouds = [1, 2].map(|more| format!("http://127.0.0.1:{}", port + more));
        assert_eq!(sandbox.clouds(), [&*clouds[0], &*clouds[1]]);
        return;
    }
    panic!("no three free ports in a row");
}

#[tokio::test]
async fn ports_beyond_the_last_are_an_error() {
    assert!(Sandbox::builder().port(u16::MAX).start().await.is_err());
}

#[tokio::test]
async fn a_lifetime_is_whole_seconds_and_at_least_one() {
    for (given, told) in [(0, 1), (300, 1), (2900, 2)] {
        let lifetime = Duration::from_millis(given);
        let sandbox = Sandbox::builder().lifetime(lifetime).start().await.unwrap();
        assert_eq!(sandbox.stats().lifetime_seconds, told);
    }
}

#[tokio::test]
async fn a_stopped_sandbox_answers_no_more() {
    let bench = Bench::start().await;
    let url = bench.url("/_sandbox/stats");
    assert_eq!(status_of(bench.http.get(&url)).await, 200);
    bench.sandbox.stop().await;
    assert!(client().get(&url).send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn a_dropped_sandbox_ends_what_it_is_sending() {
    let bench = Bench::start().await;
    let token = bench
        .token(
            biped_sandbox::ACCOUNT,
            json!({ "scope": "data-export", "project_id": 42 }),
        )
        .await;
    let path = format!("/v1/download?bytes={}", 1_u64 << 50);
    let mut response = send(bench.call(&path, &token)).await;
    assert!(response.chunk().await.unwrap().is_some());
    drop(bench.sandbox);
    while let Ok(Some(_)) = response.chunk().await {}
}

/// Sends the start of a request, and returns once the server has it.
async fn begun(url: &str, start: &str) -> TcpStream {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(start.as_bytes()).await.unwrap();
    // Connections are accepted in order.
    let url = format!("{url}/nothing");
    assert_eq!(status_of(client().get(url)).await, 404);
    stream
}

const HALF_A_HEAD: &str = "POST /v1/oauth/token HTTP/1.1\r\nHost: a\r\n";

const HALF_A_FORM: &str = "POST /issuer/token HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\
                           Content-Type: application/x-www-form-urlencoded\r\n\r\ngrant";

const HALF_A_JSON: &str = "POST /v1/oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\
                           Content-Type: application/json\r\n\r\n{";

#[tokio::test]
async fn a_stop_does_not_wait_for_a_client_that_reads_or_sends_no_more() {
    let _limit = TimeLimit::start();
    let bench = Bench::start().await;
    let scope = json!({ "scope": "data-export", "project_id": 42 });
    let token = bench.token(biped_sandbox::ACCOUNT, scope).await;
    let path = format!("/v1/download?bytes={}", 1_u64 << 50);
    let unread = send(bench.call(&path, &token)).await;
    let head = begun(bench.sandbox.url(), HALF_A_HEAD).await;
    let body = begun(bench.sandbox.url(), HALF_A_JSON).await;
    bench.sandbox.stop().await;
    drop((unread, head, body));

    let platforms = Platforms::builder().start().await.unwrap();
    let directory = platforms.directory().to_owned();
    let head = begun(platforms.url(), HALF_A_HEAD).await;
    let body = begun(platforms.url(), HALF_A_FORM).await;
    #[cfg(unix)]
    let workload = {
        let mut stream = tokio::net::UnixStream::connect(directory.join("agent.sock"))
            .await
            .unwrap();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        stream.write_all(preface).await.unwrap();
        // The server's own settings.
        stream.read_u8().await.unwrap();
        stream
    };
    platforms.stop().await;
    assert!(!directory.exists(), "something still uses it");
    drop((head, body));
    #[cfg(unix)]
    drop(workload);
}

/// What the sandbox answers to these bytes, with nothing after them.
async fn answer_to(url: &str, request: &str) -> String {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    // A reset may follow the answer.
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[tokio::test]
async fn a_request_that_is_malformed_or_breaks_off_does_not_count_as_a_success() {
    let bench = Bench::start().await;
    let scope = json!({ "scope": "enrichment", "project_id": 42, "integration_id": 123 });
    let token = bench.token(biped_sandbox::ACCOUNT, scope).await;
    let cloud = bench.sandbox.clouds()[0];
    let chunked = "Transfer-Encoding: chunked\r\n\r\nzz\r\n";
    let push = |rest: &str| {
        format!(
            "POST /v1/enrichment/integrations/123/data HTTP/1.1\r\nHost: a\r\n\
             Authorization: Bearer {token}\r\n{rest}"
        )
    };
    let answer = answer_to(cloud, &push(chunked)).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    // What comes back to a connection that has ended is not seen, but it is counted.
    answer_to(cloud, &push("Content-Length: 1000000\r\n\r\nshort")).await;
    let ask = format!("POST /v1/oauth/token HTTP/1.1\r\nHost: a\r\n{chunked}");
    let answer = answer_to(bench.sandbox.url(), &ask).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(bench.sandbox.stats().counts.api_calls.accepted, 0);
}

#[tokio::test]
async fn the_error_for_a_control_request_is_json() {
    let bench = Bench::start().await;
    for (request, status) in [
        (bench.http.get(bench.url("/_sandbox/nothing")), 404),
        (bench.http.put(bench.url("/_sandbox/stats")), 405),
        (
            bench.http.post(bench.url("/_sandbox/faults")).body("{"),
            400,
        ),
    ] {
        let answer = json_of(request, StatusCode::from_u16(status).unwrap()).await;
        assert!(answer["error"].is_string(), "{answer}");
    }
}

#[tokio::test]
async fn an_empty_secret_is_not_taken() {
    let bench = Bench::start().await;
    let id = biped_sandbox::SHOP.client_id;
    let new = json!({ "client_id": id, "client_secret": "" });
    let request = bench.http.post(bench.url("/_sandbox/secret")).json(&new);
    json_of(request, StatusCode::BAD_REQUEST).await;
    bench.shop_token().await;
}

/// What a person would do with the file, by hand.
#[tokio::test]
async fn every_entry_of_the_configuration_works() {
    let bench = Bench::start().await;
    let config = send(bench.http.get(bench.url("/_sandbox/config")))
        .await
        .text()
        .await
        .unwrap();
    assert_eq!(config, bench.sandbox.config_toml());
    let config: toml::Table = config.parse().unwrap();
    let providers = config["providers"].as_table().unwrap();
    let mut contentsquare = 0;
    let mut endpoints = Vec::new();
    for (name, entry) in providers {
        let entry = serde_json::to_value(entry).unwrap();
        if entry["kind"] == "envelope" {
            let base = entry["base_url"].as_str().unwrap();
            let form = [
                ("client_id", entry["client_id"].as_str().unwrap()),
                ("client_secret", entry["client_secret"].as_str().unwrap()),
            ];
            let request = bench.http.post(format!("{base}/v1/auth/token")).form(&form);
            assert_eq!(status_of(request).await, 200, "{name}");
            continue;
        }
        contentsquare += 1;
        assert_eq!(entry["kind"], "contentsquare");
        let scopes: Vec<_> = entry["scope"]
            .as_array()
            .unwrap()
            .iter()
            .map(|scope| scope.as_str().unwrap())
            .collect();
        let mut body: Map<String, Value> =
            ["client_id", "client_secret", "project_id", "integration_id"]
                .into_iter()
                .filter_map(|key| Some((key.to_owned(), entry.get(key)?.clone())))
                .collect();
        body.insert("grant_type".into(), "client_credentials".into());
        body.insert("scope".into(), scopes.join(" ").into());
        let request = bench
            .http
            .post(entry["token_endpoint"].as_str().unwrap())
            .json(&body);
        let answer = json_of(request, StatusCode::OK).await;
        endpoints.push((answer["endpoint"].clone(), answer["project_id"].clone()));
    }
    assert_eq!((providers.len(), contentsquare), (5, 4));
    let [first, second] = bench.sandbox.clouds();
    assert!(endpoints.contains(&(first.into(), 42.into())));
    assert!(endpoints.contains(&(second.into(), 43.into())));
}
