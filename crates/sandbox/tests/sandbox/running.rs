use std::{net::TcpListener, time::Duration};

use biped_sandbox::Sandbox;
use reqwest::StatusCode;
use serde_json::{Map, Value, json};

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
