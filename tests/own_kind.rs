//! A vendor that Biped doesn't know, taught by the application, configured in biped.toml, and
//! treated like any other.

use std::sync::Arc;

use biped::{
    Biped, Error, ErrorKind, ExposeSecret, Token, TokenRequest, VendorError,
    provider::{
        ApiRequest, AttachContext, FetchContext, Field, FieldType, Provider, ProviderConfig,
        ProviderId, ProviderKind, SecretRef, async_trait, wire,
    },
};
use biped_testing::ManualClock;
use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_json, header, method, path},
};

use crate::driven;

/// Sends its key as JSON, gets a session, and signs each call with it.
#[derive(Debug)]
struct Acme {
    id: ProviderId,
    key: SecretRef,
}

fn acme() -> ProviderKind {
    ProviderKind::new("acme", |config: &ProviderConfig| {
        let key = config.secret("api_key");
        let key = key.ok_or_else(|| config.missing("api_key"))?;
        let endpoint = config.url("token_endpoint");
        let endpoint = endpoint.ok_or_else(|| config.missing("token_endpoint"))?;
        let id = ProviderId::new("acme", endpoint, "")
            .named(config.name())
            .credential(&key);
        Ok(Arc::new(Acme { id, key }) as Arc<dyn Provider>)
    })
    .field(Field::new("api_key", FieldType::Secret).required())
    .field(Field::new("tenant", FieldType::Integer).per_request())
}

#[async_trait]
impl Provider for Acme {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let key = cx.secret(&self.key).await?;
        let tenant = request.value("tenant").map(biped::ParamValue::to_json);
        let body = json!({ "key": key.expose_secret(), "tenant": tenant });
        let response = cx.post_json(self.id.token_endpoint(), &body).await?;
        if !response.status().is_success() {
            let vendor = VendorError::new(response.status().as_u16());
            return Err(wire::failure(&response, vendor, cx.now()));
        }
        let answer = wire::json(&response)?;
        let session = answer["session"].as_str();
        let session = session.ok_or_else(|| Error::invalid_response("no session"))?;
        Token::new(session, cx.sent_at())
            .expires_in(wire::seconds(&answer["seconds"]))
            .build()
    }

    fn attach(
        &self,
        token: &Token,
        request: &mut ApiRequest<'_>,
        _: &AttachContext<'_>,
    ) -> Result<(), Error> {
        let signed = format!("{}:{}", token.expose_secret(), request.url().path());
        let signed = http::HeaderValue::try_from(signed);
        let signed = signed.map_err(|_| Error::internal("no header value"))?;
        request.headers_mut().insert("acme-signature", signed);
        Ok(())
    }
}

fn application(server: &MockServer, clock: &Arc<ManualClock>, lines: &str) -> Result<Biped, Error> {
    let config = format!(
        "[providers.billing]\nkind = \"acme\"\ntoken_endpoint = \"{0}/session\"\n\
         api_base_url = \"{0}/api\"\n{lines}\n",
        server.uri()
    );
    let builder = Biped::builder().without_environment();
    builder
        .provider_kind(acme())
        .toml(config)
        .clock(clock.clone())
        .build()
}

async fn session(server: &MockServer, tenant: i64, session: &str, times: u64) {
    let answer = json!({ "session": session, "seconds": 600 });
    Mock::given(method("POST"))
        .and(path("/session"))
        .and(body_json(json!({ "key": "k-1", "tenant": tenant })))
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
        .up_to_n_times(1)
        .expect(times)
        .mount(server)
        .await;
}

#[tokio::test]
async fn an_applications_own_kind_is_configured_and_called_like_the_others() {
    let server = MockServer::start().await;
    let biped = application(&server, &Arc::default(), "api_key = \"k-1\"\ntenant = 7").unwrap();
    session(&server, 7, "s-1", 1).await;
    session(&server, 8, "s-8", 1).await;
    for (signature, status) in [("s-1:/api/invoices", 200), ("s-8:/api/invoices", 201)] {
        Mock::given(path("/api/invoices"))
            .and(header("acme-signature", signature))
            .respond_with(ResponseTemplate::new(status))
            .mount(&server)
            .await;
    }
    let billing = biped.client("billing").unwrap();
    for _ in 0..3 {
        let answer = billing.get("/invoices").send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    let other = billing.param("tenant", 8);
    let answer = other.get("/invoices").send().await.unwrap();
    assert_eq!(answer.status(), 201, "another key, another token");
}

#[tokio::test]
async fn a_rejection_renews_the_tokens_of_an_own_kind_too() {
    let server = MockServer::start().await;
    let clock = Arc::default();
    let biped = application(&server, &clock, "api_key = \"k-1\"\ntenant = 7").unwrap();
    session(&server, 7, "s-1", 1).await;
    session(&server, 7, "s-2", 1).await;
    for (signature, status) in [("s-1:/api/x", 401), ("s-2:/api/x", 200)] {
        Mock::given(path("/api/x"))
            .and(header("acme-signature", signature))
            .respond_with(ResponseTemplate::new(status))
            .expect(1)
            .mount(&server)
            .await;
    }
    let call = biped.client("billing").unwrap().get("/x").send();
    let answer = driven(&clock, call).await;
    assert_eq!(answer.unwrap().status(), 200);
}

#[tokio::test]
async fn the_configuration_of_an_own_kind_is_checked_like_the_others() {
    let server = MockServer::start().await;
    let error = application(
        &server,
        &Arc::default(),
        "api_kee = \"k-1\"\ntenant = \"seven\"",
    )
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let told = error.to_string();
    for word in [
        "api_kee",
        "the configuration text:6: providers.billing.tenant",
        "did you mean api_key?",
    ] {
        assert!(told.contains(word), "{word} in {told}");
    }
    assert!(!told.contains("k-1") && !told.contains("seven"), "{told}");
}
