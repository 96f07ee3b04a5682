//! Servers of a service mesh, which are asked without TLS.

use std::sync::{Arc, Mutex};

use biped::{Error, client::HttpClient, provider::async_trait};
use serde_json::json;

use crate::{assert_one, builder, problems};

/// An authorization server, and what it was asked.
#[derive(Debug, Default)]
struct Server {
    asked: Mutex<Vec<String>>,
    token_endpoint: &'static str,
}

#[async_trait]
impl HttpClient for Server {
    async fn send(
        &self,
        request: http::Request<bytes::Bytes>,
    ) -> Result<http::Response<bytes::Bytes>, Error> {
        let uri = request.uri().to_string();
        let answer = match uri.contains(".well-known") {
            true => json!({
                "issuer": "http://sso.auth.svc:8080/realms/a",
                "token_endpoint": self.token_endpoint,
            }),
            false => json!({
                "access_token": "t", "token_type": "Bearer", "expires_in": 3600,
                "data": { "access_token": "t", "expires_in": 3600 },
            }),
        };
        self.asked.lock().unwrap().push(uri);
        Ok(http::Response::new(answer.to_string().into()))
    }
}

async fn asked(text: &str, token_endpoint: &'static str) -> Result<Vec<String>, Error> {
    let server = Arc::new(Server {
        token_endpoint,
        ..Server::default()
    });
    let text = format!(
        "[providers.a]\nclient_id = 'id'\nclient_secret = 's'\n\
         plain_http = ['sso.auth.svc:8080', 'api.svc:80']\n{text}\n"
    );
    let built = builder().toml(text).http_client(server.clone()).build();
    let biped = built.unwrap();
    biped.token_source("a")?.token().await?;
    let asked = server.asked.lock().unwrap().clone();
    Ok(asked)
}

#[tokio::test]
async fn a_listed_server_is_asked_for_tokens_and_metadata() {
    let issuer = "kind = 'oauth2'\nissuer = 'http://sso.auth.svc:8080/realms/a'";
    assert_eq!(
        asked(issuer, "http://sso.auth.svc:8080/realms/a/token")
            .await
            .unwrap(),
        [
            "http://sso.auth.svc:8080/.well-known/oauth-authorization-server/realms/a",
            "http://sso.auth.svc:8080/realms/a/token"
        ]
    );
    let endpoint = "kind = 'oauth2'\ntoken_endpoint = 'http://api.svc/token'";
    assert_eq!(asked(endpoint, "").await.unwrap(), ["http://api.svc/token"]);
    let envelope = "kind = 'envelope'\nbase_url = 'http://api.svc'";
    assert_eq!(
        asked(envelope, "").await.unwrap(),
        ["http://api.svc/v1/auth/token"]
    );
}

#[cfg(feature = "catalogue")]
#[tokio::test]
async fn a_vendor_behind_a_listed_gateway_is_asked_there() {
    let dialect = "kind = 'dialect'\nvendor = 'paypal'\nparams = { host = 'api-m.paypal.com' }\n\
                   token_endpoint = 'http://api.svc/v1/oauth2/token'";
    assert_eq!(
        asked(dialect, "").await.unwrap(),
        ["http://api.svc/v1/oauth2/token"]
    );
}

#[tokio::test]
async fn metadata_of_a_listed_issuer_names_no_other_listed_server() {
    let issuer = "kind = 'oauth2'\nissuer = 'http://sso.auth.svc:8080/realms/a'";
    let error = asked(issuer, "http://api.svc/token").await.unwrap_err();
    assert!(error.to_string().contains("token_endpoint"), "{error}");
}

#[test]
fn a_server_that_is_not_listed_is_a_problem_that_says_what_to_list() {
    let found = problems(
        "[providers.a]\nkind = 'oauth2'\nclient_id = 'i'\nclient_secret = 's'\n\
         issuer = 'http://sso.auth.svc:8080/realms/a'\n",
    );
    let remedy = "plain_http = [\"sso.auth.svc:8080\"]";
    assert_one(
        &found,
        "the configuration text:5: providers.a.issuer: ",
        &[remedy],
    );
    let found = problems(
        "[providers.a]\nkind = 'envelope'\nclient_id = 'i'\nclient_secret = 's'\n\
         base_url = 'https://a.example'\napi_base_url = 'http://api.svc'\nplain_http = 'api.svc:8080'\n",
    );
    let remedy = "plain_http = [\"api.svc:80\"]";
    assert_one(
        &found,
        "the configuration text:6: providers.a.api_base_url: ",
        &[remedy],
    );
}

#[test]
#[cfg(all(feature = "contentsquare", feature = "platform"))]
fn no_list_is_suggested_where_none_is_taken() {
    let contentsquare = "[providers.a]\nkind = 'contentsquare'\nclient_id = 'i'\n\
                         client_secret = 's'\nscope = 'metrics'\n";
    let platform = "[providers.a]\nkind = 'platform'\ntoken = { gcp = { access = true } }\n";
    for text in [
        format!("{contentsquare}token_endpoint = 'http://api.svc'\n"),
        format!("{contentsquare}api_base_url = 'http://api.svc'\n"),
        format!("{platform}api_base_url = 'http://api.svc'\n"),
        "[vault]\naddress = 'http://vault.svc:8200'\n".to_owned(),
    ] {
        let found = problems(&text).join("\n");
        assert!(found.contains("https"), "{found}");
        assert!(!found.contains("plain_http"), "{found}");
    }
}

#[test]
fn what_is_no_host_and_port_is_a_problem() {
    for wrong in ["'api.svc'", "['http://api.svc:80']", "['*.svc:80']", "7"] {
        let found = problems(&format!(
            "[providers.a]\nkind = 'oauth2'\nclient_id = 'i'\nclient_secret = 's'\n\
             token_endpoint = 'https://a.example'\nplain_http = {wrong}\n"
        ));
        assert_one(
            &found,
            "the configuration text:6: providers.a.plain_http: ",
            &["expected"],
        );
    }
}

#[test]
fn a_kind_without_such_servers_does_not_ignore_the_list() {
    let found = problems(
        "[providers.a]\nkind = 'contentsquare'\nclient_id = 'i'\nclient_secret = 's'\n\
         scope = 'metrics'\nplain_http = 'api.svc:80'\n",
    );
    let words = ["contentsquare", "remove it"];
    assert_one(
        &found,
        "the configuration text:6: providers.a.plain_http: ",
        &words,
    );
}

#[test]
fn a_url_in_plain_http_is_shown_with_the_configuration() {
    let text = "[providers.a]\nkind = 'envelope'\nclient_id = 'i'\nclient_secret = 's'\n\
                base_url = 'http://user:pl4nted@api.svc'\n";
    let shown = builder().toml(text).config().unwrap();
    let shown: Vec<_> = shown.iter().map(ToString::to_string).collect();
    let shown = shown.join("\n");
    assert!(
        shown.contains("http://api.svc/") && !shown.contains("pl4nted"),
        "{shown}"
    );
}
