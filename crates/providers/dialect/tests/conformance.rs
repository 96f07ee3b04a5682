//! A dialect keeps the promises of a provider, in the standard's form and in one of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use biped_core::{Provider, SecretRef, TokenRequest};
use biped_dialect::{Dialect, Vendor};
use biped_testing::{
    Reply,
    provider::conformance::{self, Case, Gap, SECRET, Sent},
};

fn vendor(dialect: &Arc<Dialect>, secret: &str) -> Arc<dyn Provider> {
    let vendor = Vendor::builder(dialect.clone())
        .client_id(SecretRef::inline("client-7"))
        .client_secret(SecretRef::inline(secret))
        .build();
    Arc::new(vendor.unwrap())
}

fn case(text: &str) -> Case {
    let dialect = |text: &str| Arc::new(Dialect::from_toml(text, "mine.toml").unwrap());
    let elsewhere = dialect(&text.replace("vendor.example/", "vendor.example/v2/"));
    let dialect = dialect(text);
    let make = move |secret: &str| vendor(&dialect, secret);
    Case::new(make, TokenRequest::new().scope("read"))
        .differs_in("url", vendor(&elsewhere, SECRET))
        .refuses_client(Reply::error(401, "invalid_client"))
        .refuses_request(Reply::error(400, "invalid_scope"))
}

/// The token request of RFC 6749.
fn form() -> Sent {
    form_for("application/json")
}

/// The same with another form of the response.
fn form_for(accepted: &str) -> Sent {
    Sent::post("https://vendor.example/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", accepted)
        .body(format!(
            "grant_type=client_credentials&client_id=client-7&client_secret={SECRET}&scope=read"
        ))
}

#[tokio::test]
async fn a_dialect_of_the_standard() {
    let case = case(
        r#"
        url = "https://vendor.example/token"
        auth = "body"
        "#,
    )
    .sends(form())
    .grants("the-token", Reply::token("the-token", 3600))
    .for_seconds(3600);
    let report = conformance::run(case).await;
    assert_eq!(report.unchecked(), [Gap::Rejection]);
}

#[tokio::test]
async fn a_dialect_with_words_of_its_own() {
    let case = case(
        r#"
        url = "https://vendor.example/session"
        encoding = "json"
        auth = "none"
        grant_type = false
        fields = { id = "{client_id}", key = "{client_secret}" }
        response = { token = "/data/token", expires = { at = "/data/ttl", as = "seconds" } }
        "#,
    )
    .sends(
        Sent::post("https://vendor.example/session")
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .body(format!(
                r#"{{"id":"client-7","key":"{SECRET}","scope":"read"}}"#
            )),
    )
    .grants(
        "the-token",
        Reply::json(200, r#"{"data":{"token":"the-token","ttl":60}}"#),
    )
    .for_seconds(60);
    let report = conformance::run(case).await;
    assert_eq!(report.unchecked(), [Gap::Rejection]);
}

#[tokio::test]
async fn a_dialect_whose_answers_name_a_base_url() {
    let granted = |url: &str| {
        let body = format!(r#"{{"access_token":"the-token","expires_in":60,"api":"{url}"}}"#);
        Reply::json(200, &body)
    };
    for named in ["https://eu.vendor.example/v1", "eu.vendor.example"] {
        let case = case(
            r#"
            url = "https://vendor.example/token"
            response = { base_url = "/api", base_url_hosts = ["*.vendor.example"] }
            "#,
        )
        .sends(form())
        .grants("the-token", granted(named))
        .for_seconds(60)
        .rejects(Reply::status(401));
        let report = conformance::run(case).await;
        assert_eq!(report.unchecked(), [], "{report}");
    }
}

/// It reads a bare host as well, which names the trusted one.
#[tokio::test]
async fn a_dialect_whose_case_says_which_host_is_trusted() {
    let granted = |url: &str| {
        let body = format!(r#"{{"access_token":"the-token","expires_in":60,"api":"{url}"}}"#);
        Reply::json(200, &body)
    };
    let trusted = "https://eu.vendor.example";
    let case = case(
        r#"
        url = "https://vendor.example/token"
        response = { base_url = "/api", base_url_hosts = ["eu.vendor.example"] }
        "#,
    )
    .sends(form())
    .grants("the-token", granted(trusted))
    .names_base_url(trusted, granted)
    .for_seconds(60)
    .rejects(Reply::status(401));
    let report = conformance::run(case).await;
    assert_eq!(report.unchecked(), [], "{report}");
}

#[tokio::test]
async fn a_dialect_whose_answer_is_the_token() {
    for body in ["the-token", "\"the-token\""] {
        let mut answer = http::Response::new(bytes::Bytes::from_static(body.as_bytes()));
        let text = http::HeaderValue::from_static("text/plain");
        answer.headers_mut().insert("content-type", text);
        let case = case(
            r#"
            url = "https://vendor.example/token"
            auth = "body"
            response = { format = "text" }
            "#,
        )
        .sends(form_for("*/*"))
        .grants("the-token", Reply::Response(answer))
        .rejects(Reply::status(401));
        let report = conformance::run(case).await;
        assert_eq!(report.unchecked(), [Gap::Lifetime], "{body}");
    }
}

#[tokio::test]
async fn a_dialect_of_an_api_that_rejects_with_a_bare_403() {
    let case = case(
        r#"
        url = "https://vendor.example/token"
        auth = "body"
        expired = { status = [401, 403] }
        "#,
    )
    .sends(form())
    .grants("the-token", Reply::token("the-token", 3600))
    .for_seconds(3600)
    .rejects(Reply::status(403));
    let report = conformance::run(case).await;
    assert_eq!(report.unchecked(), []);
}

#[tokio::test]
async fn a_dialect_without_a_client_identifier() {
    let text = r#"
        url = "https://vendor.example/token"
        auth = "none"
        fields = { api_key = "{api_key}" }
        "#;
    let dialect = |text: &str| Arc::new(Dialect::from_toml(text, "mine.toml").unwrap());
    let vendor = |dialect: &Arc<Dialect>, secret: &str| -> Arc<dyn Provider> {
        // The name is the same for all, and no client.
        let vendor = Vendor::builder(dialect.clone()).named("shop");
        Arc::new(
            vendor
                .param("api_key", SecretRef::inline(secret))
                .build()
                .unwrap(),
        )
    };
    let elsewhere = vendor(&dialect(&text.replace("/token", "/v2/token")), SECRET);
    let dialect = dialect(text);
    let make = move |secret: &str| vendor(&dialect, secret);
    let case = Case::new(make, TokenRequest::new())
        .sends(
            Sent::post("https://vendor.example/token")
                .header("content-type", "application/x-www-form-urlencoded")
                .header("accept", "application/json")
                .body(format!("grant_type=client_credentials&api_key={SECRET}")),
        )
        .grants("the-token", Reply::token("the-token", 3600))
        .for_seconds(3600)
        .refuses_client(Reply::error(401, "invalid_client"))
        .refuses_request(Reply::error(400, "invalid_scope"))
        .rejects(Reply::status(401))
        .differs_in("url", elsewhere);
    let report = conformance::run(case).await;
    assert_eq!(report.unchecked(), []);
}
