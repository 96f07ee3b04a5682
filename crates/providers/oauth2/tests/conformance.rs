//! Standard authorization servers keep the promises of a provider, however the client proves who
//! it is.

use std::sync::Arc;

use biped_core::{Provider, SecretRef, TokenRequest};
use biped_oauth2::{ClientAuthentication, OAuth2};
use biped_testing::{
    Reply,
    provider::conformance::{self, Case, SECRET, Sent},
};
use url::Url;

const ENDPOINT: &str = "https://login.example/token";

fn case(method: ClientAuthentication) -> Case {
    let make = move |secret: &str| -> Arc<dyn Provider> {
        let endpoint = Url::parse(ENDPOINT).unwrap_or_else(|_| unreachable!());
        let provider = OAuth2::at(endpoint, SecretRef::inline("client-7"))
            .client_secret(SecretRef::inline(secret))
            .client_authentication(method);
        Arc::new(provider)
    };
    let other = |credential: &str, file: &str| {
        let endpoint = Url::parse(ENDPOINT).unwrap_or_else(|_| unreachable!());
        let provider = OAuth2::at(endpoint, SecretRef::inline("client-7"))
            .client_secret(SecretRef::inline(SECRET))
            .client_authentication(method);
        let file = SecretRef::file(file);
        Arc::new(match credential {
            "key" => provider.key(file),
            _ => provider.certificate(file.clone(), file),
        })
    };
    Case::new(make, TokenRequest::new().scope("read"))
        .differs_in("key", other("key", "key.pem"))
        .differs_in("certificate", other("certificate", "client.pem"))
        .grants("the-token", Reply::token("the-token", 3600))
        .for_seconds(3600)
        .refuses_client(Reply::error(401, "invalid_client"))
        .refuses_request(Reply::error(400, "invalid_scope"))
        .rejects(Reply::status(401).with_header(
            "www-authenticate",
            r#"Bearer error="invalid_token", error_description="expired""#,
        ))
}

fn sent() -> Sent {
    Sent::post(ENDPOINT)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
}

#[tokio::test]
async fn with_a_secret_in_the_header() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let pair = STANDARD.encode(format!("client-7:{SECRET}"));
    let case = case(ClientAuthentication::ClientSecretBasic).sends(
        sent()
            .header("authorization", &format!("Basic {pair}"))
            .body("grant_type=client_credentials&scope=read"),
    );
    conformance::run(case).await;
}

#[tokio::test]
async fn with_a_secret_in_the_form() {
    let body = format!(
        "grant_type=client_credentials&scope=read&client_id=client-7&client_secret={SECRET}"
    );
    let case = case(ClientAuthentication::ClientSecretPost).sends(sent().body(body));
    conformance::run(case).await;
}
