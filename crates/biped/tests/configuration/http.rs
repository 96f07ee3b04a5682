//! `[http]`, and `[providers.NAME.http]` over it.
#![cfg(feature = "reqwest")]

use std::{sync::Arc, time::Duration};

use biped::{Biped, ExposeSecret, reqwest::ProxySetting};
use biped_testing::ManualClock;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc::{UnboundedSender, unbounded_channel},
};

use crate::{assert_one, builder, problems};

/// A proxy that reports its name and what it is asked to connect to, and connects to nothing.
async fn proxy(name: &'static str, tell: UnboundedSender<(&'static str, String)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(near.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let target = head.split(' ').nth(1).unwrap().to_owned();
            let _ = tell.send((name, target));
            let _ = near.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
        }
    });
    at
}

#[tokio::test]
async fn a_provider_has_a_proxy_of_its_own_for_token_requests_and_calls() {
    let (tell, mut told) = unbounded_channel();
    let common = proxy("common", tell.clone()).await;
    let own = proxy("own", tell).await;
    // The vendors of the first kind are asked for tokens; of the second only an API is called.
    let asked = |name: &str| {
        format!(
            "[providers.{name}]\nkind = 'envelope'\nbase_url = 'https://{name}.invalid'\n\
             client_id = 'a'\nclient_secret = 'b'\n"
        )
    };
    let called = |name: &str| {
        format!(
            "[providers.{name}]\nkind = 'acme'\napi_base_url = 'https://{name}.invalid'\n\
             client_secret = 's'\n"
        )
    };
    let own_proxy = format!("http.proxy = '{own}'\n");
    let biped = builder()
        .toml(format!(
            "{}{}{}{own_proxy}{}{own_proxy}{}http.proxy = 'none'\n[http]\nproxy = '{common}'\n",
            asked("asks"),
            called("calls"),
            asked("asks-by-own"),
            called("calls-by-own"),
            asked("direct"),
        ))
        // Nothing is tried again.
        .clock(Arc::new(ManualClock::new()))
        .build()
        .unwrap();
    for (proxy, asks, calls) in [
        ("common", "asks", "calls"),
        ("own", "asks-by-own", "calls-by-own"),
    ] {
        let source = biped.token_source(asks).unwrap();
        let asking = tokio::spawn(async move { source.token().await.map(drop) });
        let asked = told.recv().await.unwrap();
        assert_eq!(asked, (proxy, format!("{asks}.invalid:443")));
        asking.abort();
        let call = biped.client(calls).unwrap().get("/v1/orders");
        call.send().await.unwrap_err();
        let asked = told.recv().await.unwrap();
        assert_eq!(asked, (proxy, format!("{calls}.invalid:443")));
    }
    assert!(told.try_recv().is_err());
    let direct = biped.http_settings("direct").unwrap();
    assert!(matches!(direct.proxy_setting(), ProxySetting::Direct));
}

#[test]
fn a_provider_changes_only_the_settings_that_it_names() {
    let biped = configured(
        "[http]\nconnect_timeout = 3\nproxy = 'http://user:planted@common.example'\n\
         [providers.a]\nkind = 'acme'\nclient_secret = 's'\n\
         [providers.a.http]\ntimeout = 7\n\
         [providers.b]\nkind = 'acme'\nclient_secret = 's'\nhttp = { connect_timeout = '9s' }\n",
    );
    let limit = |name| biped.http_settings(name).unwrap().connect_limit();
    assert_eq!(limit("a"), Duration::from_secs(3));
    assert_eq!(limit("b"), Duration::from_secs(9));
    for name in ["a", "b"] {
        let settings = biped.http_settings(name).unwrap();
        let ProxySetting::At(proxy) = settings.proxy_setting() else {
            panic!("{settings:?}");
        };
        assert_eq!(proxy.expose_secret(), "http://user:planted@common.example");
    }
    assert!(biped.http_settings("c").is_err());

    let shown: Vec<_> = biped.config().iter().map(ToString::to_string).collect();
    let shown = shown.join("\n");
    assert!(shown.contains("providers.a.http.timeout = 7"), "{shown}");
    assert!(
        shown.contains("providers.b.http.connect_timeout"),
        "{shown}"
    );
    assert!(!shown.contains("planted"), "{shown}");
}

fn configured(text: &str) -> Biped {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    builder().toml(text).build().unwrap()
}

#[test]
fn a_proxy_with_a_password_is_not_shown() {
    let biped = configured(
        "[providers.a]\nkind = 'acme'\nclient_secret = 's'\n\
         http.proxy = 'http://user:planted@own.example'\n",
    );
    let shown = format!("{:?}", biped.config());
    assert!(shown.contains("providers.a.http.proxy"), "{shown}");
    assert!(!shown.contains("planted"), "{shown}");
    let settings = format!("{:?}", biped.http_settings("a").unwrap());
    assert!(!settings.contains("planted"), "{settings}");
}

#[test]
fn problems_name_the_key_of_the_provider() {
    let found = problems(
        "[providers.a]\nkind = 'acme'\nclient_secret = 's'\n\
         [providers.a.http]\nprxy = 'http://proxy.example'\ntimeout = 'soon'\n",
    );
    let start = "the configuration text:5: providers.a.http.prxy: ";
    assert_one(&found, start, &["did you mean proxy?"]);
    assert_one(
        &found,
        "the configuration text:6: providers.a.http.timeout: ",
        &["expected"],
    );

    let found = problems(
        "[providers.a]\nkind = 'acme'\nclient_secret = 's'\n\
         [providers.a.http]\nproxy = 'ftp://me:hunter2@proxy.example'\n",
    );
    assert_one(
        &found,
        "the configuration text:4: providers.a.http: ",
        &["proxy"],
    );
    assert!(!found.concat().contains("hunter2"), "{found:?}");

    let found = problems("[providers.a]\nkind = 'acme'\nclient_secret = 's'\nhttp = 'x'\n");
    assert_one(
        &found,
        "the configuration text:4: providers.a.http: ",
        &["expected a table"],
    );
}

#[test]
fn a_setting_beside_the_table_is_led_into_the_table() {
    let found = problems(
        "[providers.a]\nkind = 'acme'\nclient_secret = 's'\nproxy = 'http://proxy.example'\n",
    );
    let start = "the configuration text:4: providers.a.proxy: ";
    assert_one(&found, start, &["[providers.a.http]"]);
}

#[test]
fn a_variable_sets_a_providers_proxy() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let biped = builder()
        .environment([("BIPED_PROVIDERS__A__HTTP__CONNECT_TIMEOUT", "4s")])
        .toml("[providers.a]\nkind = 'acme'\nclient_secret = 's'\n")
        .build()
        .unwrap();
    let settings = biped.http_settings("a").unwrap();
    assert_eq!(settings.connect_limit(), Duration::from_secs(4));
}
