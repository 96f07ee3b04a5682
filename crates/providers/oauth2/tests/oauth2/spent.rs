//! Tokens of other parties that a server took before, and takes no more.

use std::sync::Arc;

use biped_config::{ConfigTable, Origin, ProviderConfig};
use biped_core::{Error, ErrorKind, Provider, Token, TokenRequest};
use serde_json::json;
use wiremock::ResponseTemplate;

use crate::{
    presented::Projected,
    server::{Server, claims, field, json_answer},
};

/// A client at `/token`, with these keys.
struct Client<'a> {
    server: &'a Server,
    provider: Arc<dyn Provider>,
}

impl<'a> Client<'a> {
    fn new(server: &'a Server, toml: &str) -> Self {
        let toml = format!("token_endpoint = '{}'\n{toml}", server.url("/token"));
        let values = ConfigTable::from_toml("biped.toml".as_ref(), &toml).unwrap();
        let config = ProviderConfig::new("crm", "oauth2", Origin::Builder, values.into_values());
        let provider = biped_oauth2::kind().build(&config).unwrap();
        Self { server, provider }
    }

    async fn fetch(&self) -> Result<Token, Error> {
        let request = TokenRequest::new();
        self.provider.fetch(&request, &self.server.context()).await
    }

    /// Fails before anything is sent, since no place has another text.
    async fn waits(&self) -> Error {
        let sent = self.server.requests().await.len();
        let error = self.fetch().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Secret);
        assert!(error.is_transient());
        assert_eq!(self.server.requests().await.len(), sent);
        error
    }
}

fn refusal(status: u16, code: &str) -> ResponseTemplate {
    json_answer(status, &json!({ "error": code }))
}

#[tokio::test]
async fn a_refused_exchange_waits_for_another_subject_or_actor() {
    let server = Server::generous().await;
    let (subject, actor) = (Projected::new("subject-1"), Projected::new("actor-1"));
    let toml = format!(
        "grant = 'token_exchange'\nsubject_token = '{}'\nactor_token = '{}'",
        subject.reference(),
        actor.reference()
    );
    let client = Client::new(&server, &toml);
    client.fetch().await.unwrap();
    for (file, other) in [(&subject, "subject-2"), (&actor, "actor-2")] {
        let refused = refusal(400, "invalid_grant");
        server.answers_once("/token", refused).await;
        assert_eq!(client.fetch().await.unwrap_err().kind(), ErrorKind::Refused);
        let error = client.waits().await;
        for place in [subject.reference(), actor.reference()] {
            assert!(error.to_string().contains(&place), "{error}");
        }
        file.replace(other);
        client.fetch().await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_subject_that_is_signed_here_leaves_the_actor_in_use() {
    let server = Server::generous().await;
    let actor = Projected::new("actor-1");
    let sign = format!("key = '''{}''', iss = 'a', aud = 'b'", P256.trim());
    let toml = format!(
        "grant = 'token_exchange'\nsubject_token = {{ sign = {{ {sign} }} }}\nactor_token = '{}'",
        actor.reference()
    );
    let client = Client::new(&server, &toml);
    client.fetch().await.unwrap();
    let refused = refusal(400, "invalid_grant");
    server.answers_once("/token", refused).await;
    assert_eq!(client.fetch().await.unwrap_err().kind(), ErrorKind::Refused);
    client.fetch().await.unwrap();
}

#[tokio::test]
async fn a_grants_token_does_not_make_forget_that_the_client_was_accepted() {
    let server = Server::generous().await;
    let (own, subject) = (Projected::new("client-1"), Projected::new("subject-1"));
    let toml = format!(
        "client_assertion = '{}'\ngrant = 'token_exchange'\nsubject_token = '{}'",
        own.reference(),
        subject.reference()
    );
    let client = Client::new(&server, &toml);
    client.fetch().await.unwrap();
    let refused = refusal(401, "invalid_client");
    server.answers_once("/token", refused).await;
    assert!(!client.fetch().await.unwrap_err().refuses_client());
    // Another subject says nothing about the client.
    subject.replace("subject-2");
    client.waits().await;
    own.replace("client-2");
    client.fetch().await.unwrap();
}

const P256: &str = include_str!("../keys/p256.pkcs8.pem");

#[tokio::test]
async fn what_is_signed_here_is_signed_again_for_the_request_with_a_nonce() {
    let server = Server::new().await;
    let bound = json!({ "access_token": "t-1", "token_type": "DPoP", "expires_in": 3600 });
    server.answers("/token", json_answer(200, &bound)).await;
    let challenge = refusal(400, "use_dpop_nonce").insert_header("DPoP-Nonce", "n-1");
    server.answers_once("/token", challenge).await;
    let sign = format!("{{ sign = {{ key = '''{}''', iss = 'a' }} }}", P256.trim());
    let toml = format!(
        "dpop = true\nclient_id = 'c'\nclient_assertion = {sign}\n\
         grant = 'jwt_bearer'\nassertion = {sign}"
    );
    Client::new(&server, &toml).fetch().await.unwrap();
    let requests = server.requests().await;
    assert_eq!(requests.len(), 2);
    for name in ["client_assertion", "assertion"] {
        let ids: Vec<_> = requests
            .iter()
            .map(|it| claims(&field(it, name).unwrap())["jti"].clone())
            .collect();
        assert_ne!(ids[0], ids[1], "{name}");
    }
}
