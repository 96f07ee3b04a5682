//! The kinds that Biped brings, and what becomes of their configuration.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use biped::{Error, ParamValue, client::HttpClient, provider::async_trait};
use biped_testing::{ManualClock, Reply, ScriptedHttp};

use crate::{assert_one, builder, problems, vendor::NoNetwork};

const TEXT: &str = "
[providers.analytics]
kind = 'contentsquare'
client_id = 'id'
client_secret = 'a secret'
scope = ['data-export', 'metrics']
project_id = 42

[providers.shop]
kind = 'envelope'
base_url = 'https://api.vendor.example'
client_id = 'shop id'
client_secret = 'a secret'
";

/// Gives every token request the same response, and keeps the requests.
#[derive(Debug, Default)]
struct Vendors(Mutex<Vec<(String, String)>>);

#[async_trait]
impl HttpClient for Vendors {
    async fn send(
        &self,
        request: http::Request<bytes::Bytes>,
    ) -> Result<http::Response<bytes::Bytes>, Error> {
        let body = String::from_utf8(request.body().to_vec()).unwrap();
        self.0
            .lock()
            .unwrap()
            .push((request.uri().to_string(), body));
        let answer =
            r#"{"data": {"access_token": "t", "token_type": "bearer", "expires_in": 3600}}"#;
        Ok(http::Response::new(answer.into()))
    }
}

#[tokio::test]
async fn a_configured_provider_asks_its_vendor_and_the_token_is_shared() {
    let vendors = Arc::new(Vendors::default());
    let biped = builder()
        .toml(TEXT)
        .http_client(vendors.clone())
        .build()
        .unwrap();
    assert_eq!(biped.names().collect::<Vec<_>>(), ["analytics", "shop"]);
    let first = biped
        .token_source("shop")
        .unwrap()
        .token()
        .await
        .unwrap()
        .into_owned();
    let second = biped
        .clone()
        .token_source("shop")
        .unwrap()
        .token()
        .await
        .unwrap()
        .into_owned();
    assert!(Arc::ptr_eq(&first, &second));
    let asked = vendors.0.lock().unwrap().clone();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].0, "https://api.vendor.example/v1/auth/token");
    assert!(asked[0].1.contains("client_secret=a+secret"));
}

#[test]
fn a_provider_tells_its_kind_its_endpoint_and_types_its_parameters() {
    let biped = builder()
        .toml(TEXT)
        .http_client(Arc::new(NoNetwork))
        .build()
        .unwrap();
    let analytics = biped.provider("analytics").unwrap();
    assert_eq!(analytics.name(), "analytics");
    assert_eq!(analytics.kind(), "contentsquare");
    assert_eq!(
        analytics.token_endpoint(),
        "https://api.contentsquare.com/v1/oauth/token"
    );
    assert_eq!(
        analytics.request().to_string(),
        "data-export metrics project_id=42"
    );
    assert_eq!(
        analytics.param("project_id", "43").unwrap(),
        ParamValue::Integer(43)
    );
    for wrong in [("project_id", "x"), ("projectid", "43")] {
        let error = analytics.param(wrong.0, wrong.1).unwrap_err();
        assert_eq!(error.kind(), biped::ErrorKind::Configuration);
        assert_eq!(error.provider(), Some("analytics"));
    }
}

#[tokio::test]
async fn a_setting_of_the_engine_reaches_it() {
    let (http, clock) = (Arc::new(ScriptedHttp::new()), Arc::new(ManualClock::new()));
    http.push(Reply::Silence);
    let biped = builder()
        .toml(TEXT)
        .value("engine.max_wait", "20ms")
        .http_client(http.clone())
        .clock(clock.clone())
        .build()
        .unwrap();
    let source = biped.token_source("shop").unwrap();
    let caller = tokio::spawn(async move { source.token().await.map(drop) });
    http.arrivals(1).await;
    clock.advance(Duration::from_millis(20));
    let error = caller.await.unwrap().unwrap_err();
    assert!(error.is_transient());
    assert!(error.to_string().contains("0.02 s"), "{error}");
}

#[test]
fn clients_are_handed_out_by_name() {
    let biped = builder().toml(TEXT).build().unwrap();
    let client = biped.client("analytics").unwrap().param("project_id", 43);
    assert_eq!(
        client.token_source().request().to_string(),
        "data-export metrics project_id=43"
    );
    assert!(biped.client("nothing").is_err());
}

#[test]
fn the_readmes_file_is_a_configuration() {
    let readme = include_str!("../../../../README.md");
    let file = readme.split("```toml\n").nth(1).unwrap();
    let file = file.split("```").next().unwrap();
    let biped = builder().toml(file).build().unwrap();
    assert_eq!(biped.names().collect::<Vec<_>>(), ["exports", "shop"]);
}

#[test]
fn a_base_url_of_an_api_has_neither_query_nor_fragment() {
    for rest in ["/v1?key=hunter2", "/v1#part", "?", "#"] {
        let with = |provider: &str| {
            format!(
                "[providers.x]\n{provider}client_id = 'a'\nclient_secret = 'b'\n\
                 api_base_url = 'https://api.vendor.example{rest}'\n"
            )
        };
        for provider in [
            "kind = 'contentsquare'\nscope = 'metrics'\n",
            "kind = 'envelope'\nbase_url = 'https://vendor.example'\n",
        ] {
            let found = problems(&with(provider));
            assert_one(
                &found,
                "the configuration text:6: providers.x.api_base_url: ",
                &["fragment"],
            );
            assert!(!found.concat().contains("hunter2"), "{found:?}");
        }
    }
}

#[test]
fn a_token_endpoint_has_no_fragment() {
    let found = problems(
        "[providers.x]\nkind = 'envelope'\nclient_id = 'a'\nclient_secret = 'b'\n\
         token_endpoint = 'https://vendor.example/token#hunter2'\n",
    );
    assert_one(
        &found,
        "the configuration text:5: providers.x.token_endpoint: ",
        &["fragment"],
    );
    assert!(!found.concat().contains("hunter2"), "{found:?}");
}

#[test]
fn a_proxy_of_an_unknown_scheme_is_a_problem() {
    let found = problems("[http]\nproxy = 'ftp://me:hunter2@proxy.example'\n");
    assert_one(
        &found,
        "the configuration text:1: http: ",
        &["proxy", "socks5h"],
    );
    assert!(!found.concat().contains("hunter2"), "{found:?}");
}

/// The problem of one provider, whose table holds these lines.
#[cfg(all(feature = "oauth2", feature = "dialect"))]
#[track_caller]
fn problem_of(lines: &str) -> String {
    let found = problems(&format!("[providers.a]\n{lines}"));
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].clone()
}

#[cfg(all(feature = "catalogue", feature = "oauth2"))]
#[test]
fn a_vendor_of_the_catalogue_as_a_kind_is_told_how_to_be_configured() {
    for kind in ["paypal", "PayPal"] {
        let told = problem_of(&format!("kind = '{kind}'\n"));
        assert!(
            told.contains("kind = \"dialect\", vendor = \"paypal\""),
            "{told}"
        );
    }
    let told = problem_of("kind = 'paypall'\n");
    assert!(told.contains("vendor = \"paypal\""), "{told}");
    // What is no vendor is not repeated: it may be a secret.
    let told = problem_of("kind = 'pl4nted-s3cret'\n");
    assert!(!told.contains("pl4nted"), "{told}");
    let told = problem_of("kind = 'dialect'\nvendor = 'oauth2'\n");
    assert!(told.contains("kind = \"oauth2\""), "{told}");
}

#[cfg(all(feature = "oauth2", feature = "dialect"))]
#[test]
fn a_key_of_another_kind_names_that_kind() {
    const SHOP: &str = "kind = 'envelope'\nbase_url = 'https://a.example'\nclient_id = 'a'\n\
                        client_secret = 'b'\n";
    const CRM: &str = "kind = 'oauth2'\nissuer = 'https://a.example'\nclient_id = 'a'\n\
                       client_secret = 'b'\n";
    for key in [
        "client_certificate",
        "certificate",
        "certificate_key",
        "tls_cert",
        "client_key",
    ] {
        let told = problem_of(&format!("{SHOP}{key} = 'file:a.pem'\n"));
        assert!(told.contains("kind = \"oauth2\""), "{told}");
    }
    let told = problem_of(&format!("{CRM}client_certificate = 'file:a.pem'\n"));
    assert!(told.contains("did you mean certificate?"), "{told}");
    let told = problem_of(&format!("{CRM}client_certificate_key = 'file:a.pem'\n"));
    assert!(told.contains("did you mean certificate_key?"), "{told}");
    let told = problem_of(&format!("{SHOP}issuer = 'https://a.example'\n"));
    assert!(told.contains("key of kind = \"oauth2\""), "{told}");
    let told = problem_of(&format!("{CRM}base_url = 'https://a.example'\n"));
    assert!(told.contains("kind = \"envelope\""), "{told}");
}
