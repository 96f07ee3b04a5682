//! Providers that need each other's tokens: each through its own cache and flight.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use biped::{
    Biped, Error, ErrorKind, ExposeSecret,
    provider::{Clock as _, SystemClock},
};
use biped_testing::ManualClock;
use serde_json::json;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

/// Three token endpoints in one server. Each takes the newest token of the one before it.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// What was asked, in order.
    asked: Vec<String>,
    /// The newest token of each provider.
    newest: BTreeMap<String, u32>,
    /// What no endpoint takes any more.
    refused: Vec<String>,
    /// Whether whatever is presented to `front` is refused.
    refuses_all: bool,
    /// The code of a refused subject token, if it is not `invalid_grant`.
    code: Option<&'static str>,
    /// The code of a refused client assertion, if it is not `invalid_client`.
    client_code: Option<&'static str>,
    down: Vec<&'static str>,
    /// Whether tokens are bound to a key.
    bound: bool,
    /// Whose tokens are for no API.
    not_for_apis: Vec<&'static str>,
}

impl Respond for Server {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let name = request.url.path().trim_start_matches('/').to_owned();
        let form: BTreeMap<_, _> = url::form_urlencoded::parse(&request.body).collect();
        let mut state = self.0.lock().unwrap();
        let presented = ["client_assertion", "subject_token"].map(|field| form.get(field));
        let presented = presented.into_iter().flatten().next();
        let presented = presented.map(ToString::to_string);
        let shown = presented.as_deref().unwrap_or("secret");
        state.asked.push(format!("{name} {shown}"));
        if state.down.iter().any(|down| *down == name) {
            return ResponseTemplate::new(400).set_body_json(json!({ "error": "invalid_scope" }));
        }
        let is_refused = presented
            .as_ref()
            .is_some_and(|it| state.refused.contains(it));
        if is_refused || (name == "front" && state.refuses_all) {
            let code = match form.contains_key("subject_token") {
                true => state.code.unwrap_or("invalid_grant"),
                false => state.client_code.unwrap_or("invalid_client"),
            };
            return ResponseTemplate::new(400).set_body_json(json!({ "error": code }));
        }
        let newest = state.newest.entry(name.clone()).or_default();
        *newest += 1;
        let token = format!("{name}-{newest}");
        let answer = json!({
            "access_token": token, "expires_in": 3600,
            "token_type": match state.bound {
                true => "DPoP",
                false if state.not_for_apis.contains(&&*name) => "N_A",
                false => "Bearer",
            },
            "id_token": format!("id-of-{token}"),
        });
        ResponseTemplate::new(200).set_body_json(answer)
    }
}

struct Stage {
    server: Server,
    mock: MockServer,
    clock: Arc<ManualClock>,
    biped: Biped,
}

const CHAIN: &str = "
    [providers.workload]
    kind = 'oauth2'
    token_endpoint = 'URL/workload'
    client_id = 'w'
    client_secret = 's'

    [providers.middle]
    kind = 'oauth2'
    token_endpoint = 'URL/middle'
    client_assertion = { provider = 'workload' }

    [providers.front]
    kind = 'oauth2'
    token_endpoint = 'URL/front'
    grant = 'token_exchange'
    subject_token = { provider = 'middle' }
";

fn built(toml: &str, mock: &MockServer, clock: &Arc<ManualClock>) -> Biped {
    let builder = Biped::builder().without_environment();
    let builder = builder.toml(toml.replace("URL", &mock.uri()));
    builder.clock(clock.clone()).build().unwrap()
}

impl Stage {
    async fn new(toml: &str) -> Self {
        let mock = MockServer::start().await;
        let server = Server::default();
        Mock::given(any())
            .respond_with(server.clone())
            .mount(&mock)
            .await;
        let clock = Arc::new(ManualClock::at(SystemClock.now().wall));
        let biped = built(toml, &mock, &clock);
        Self {
            server,
            mock,
            clock,
            biped,
        }
    }

    /// Another process of the same application.
    fn start_again(&mut self, toml: &str) {
        self.biped = built(toml, &self.mock, &self.clock);
    }

    async fn token(&self, name: &str) -> Result<String, Error> {
        let source = self.biped.token_source(name).unwrap();
        let token = source.token().await?;
        Ok(token.expose_secret().to_owned())
    }

    /// What was asked since the last look.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.server.0.lock().unwrap().asked)
    }

    fn state(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.server.0.lock().unwrap());
    }

    /// Makes a provider fetch, as a caller does that wants another token.
    async fn fetch(&self, name: &str) -> Result<String, Error> {
        self.clock.advance(Duration::from_secs(2));
        let source = self.biped.token_source(name).unwrap();
        let token = source.fetch().await?;
        Ok(token.expose_secret().to_owned())
    }
}

#[tokio::test]
async fn a_chain_of_three_asks_each_once_and_keeps_each_apart() {
    let stage = Stage::new(CHAIN).await;
    assert_eq!(stage.token("front").await.unwrap(), "front-1");
    let once = ["workload secret", "middle workload-1", "front middle-1"];
    assert_eq!(stage.asked(), once);
    for name in ["front", "middle", "workload"] {
        assert_eq!(stage.token(name).await.unwrap(), format!("{name}-1"));
    }
    assert!(stage.asked().is_empty());
    // A new token of the one forces none of the others.
    assert_eq!(stage.fetch("middle").await.unwrap(), "middle-2");
    assert_eq!(stage.token("front").await.unwrap(), "front-1");
    assert_eq!(stage.asked(), ["middle workload-1"]);
}

#[tokio::test]
async fn a_refused_token_of_another_is_renewed_and_the_request_sent_once_more() {
    // The second as in RFC 8693 §2.2.2.
    let codes = ["invalid_grant", "invalid_request"];
    for (code, client_code) in codes
        .into_iter()
        .zip(["invalid_client", "unauthorized_client"])
    {
        let stage = Stage::new(CHAIN).await;
        stage.state(|state| {
            state.code = Some(code);
            state.client_code = Some(client_code);
        });
        stage.token("front").await.unwrap();
        stage.asked();
        stage.state(|state| state.refused.push("middle-1".into()));
        assert_eq!(stage.fetch("front").await.unwrap(), "front-2");
        let expected = ["front middle-1", "middle workload-1", "front middle-2"];
        assert_eq!(stage.asked(), expected);

        // As a client assertion as well.
        stage.state(|state| state.refused.push("workload-1".into()));
        assert_eq!(stage.fetch("middle").await.unwrap(), "middle-3");
        let expected = ["middle workload-1", "workload secret", "middle workload-2"];
        assert_eq!(stage.asked(), expected);
    }
}

#[tokio::test]
async fn a_vendor_file_renews_a_token_of_another_that_is_refused_in_the_vendors_words() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let vendor = "
        url = 'https://front.example/token'
        fields = { subject_token = '{proof}' }
        [response.error]
        code = '/error'
        invalid_client = ['PROOF_EXPIRED']
        [about]
        title = 'A vendor'
        docs = 'https://front.example'
        [about.params]
        proof = { says = 'who we are', secret = true }
    ";
    std::fs::write(&file, vendor).unwrap();
    let middle = CHAIN.split("[providers.front]").next().unwrap();
    let toml = format!(
        "{middle}
        [providers.front]
        kind = 'dialect'
        file = '{}'
        token_endpoint = 'URL/front'
        client_id = 'f'
        client_secret = 's'
        params = {{ proof = {{ provider = 'middle' }} }}",
        file.path().display()
    );
    for code in ["PROOF_EXPIRED", "invalid_grant", "invalid_request"] {
        let stage = Stage::new(&toml).await;
        stage.state(|state| state.code = Some(code));
        stage.token("front").await.unwrap();
        stage.asked();
        stage.state(|state| state.refused.push("middle-1".into()));
        assert_eq!(stage.fetch("front").await.unwrap(), "front-2", "{code}");
        let expected = ["front middle-1", "middle workload-1", "front middle-2"];
        assert_eq!(stage.asked(), expected, "{code}");
    }
}

#[tokio::test]
async fn a_token_that_is_refused_twice_is_not_renewed_a_third_time() {
    let stage = Stage::new(CHAIN).await;
    stage.token("front").await.unwrap();
    stage.asked();
    stage.state(|state| state.refuses_all = true);
    let error = stage.fetch("front").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.provider()),
        (ErrorKind::Refused, Some("front"))
    );
    assert_eq!(error.token_source(), None);
    let expected = ["front middle-1", "middle workload-1", "front middle-2"];
    assert_eq!(stage.asked(), expected);
    // The token in use stays, and the other's key cools down.
    assert_eq!(stage.token("front").await.unwrap(), "front-1");
    stage.clock.advance(Duration::from_secs(59));
    let _ = stage.token("middle").await.unwrap();
    assert!(stage.asked().is_empty());
}

#[tokio::test]
async fn a_refusal_ends_when_the_other_has_a_newer_token() {
    let stage = Stage::new(CHAIN).await;
    stage.token("middle").await.unwrap();
    stage.clock.advance(Duration::from_secs(2));
    stage.state(|state| state.refuses_all = true);
    stage.token("front").await.unwrap_err();
    stage.state(|state| state.refuses_all = false);
    stage.asked();
    stage.clock.advance(Duration::from_secs(5));
    stage.token("front").await.unwrap_err();
    assert!(stage.asked().is_empty());
    stage.fetch("middle").await.unwrap();
    stage.asked();
    stage.clock.advance(Duration::from_secs(2));
    assert_eq!(stage.token("front").await.unwrap(), "front-1");
    assert_eq!(stage.asked(), ["front middle-3"]);
}

#[tokio::test]
async fn an_endpoint_with_one_permit_does_not_stand_still() {
    let toml = CHAIN
        .replace("URL/workload", "URL/one")
        .replace("URL/middle", "URL/one")
        .replace("URL/front", "URL/one");
    let stage = Stage::new(&format!("[engine]\nconcurrent_fetches = 1\n{toml}")).await;
    assert_eq!(stage.token("front").await.unwrap(), "one-3");
    assert_eq!(stage.asked(), ["one secret", "one one-1", "one one-2"]);
}

#[tokio::test]
async fn the_error_of_another_names_the_chain_and_quarantines_nothing() {
    let stage = Stage::new(CHAIN).await;
    stage.state(|state| state.down.push("workload"));
    let error = stage.token("front").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(!error.refuses_client());
    assert_eq!(error.provider(), Some("front"));
    assert_eq!(error.token_source(), Some("provider:middle"));
    assert!(
        error.message().starts_with("front → middle → workload: "),
        "{error}"
    );
    assert_eq!(stage.asked(), ["workload secret"]);
    stage.state(|state| state.down.clear());
    // As soon as the other has a token again.
    stage.clock.advance(Duration::from_secs(120));
    assert_eq!(stage.token("front").await.unwrap(), "front-1");
}

#[tokio::test]
async fn a_further_field_and_another_scope_may_be_presented() {
    let toml = "
        [providers.workload]
        kind = 'oauth2'
        token_endpoint = 'URL/workload'
        client_id = 'w'
        client_secret = 's'

        [providers.front]
        kind = 'oauth2'
        token_endpoint = 'URL/front'
        grant = 'token_exchange'
        subject_token = { provider = 'workload', field = 'id_token', scope = 'openid' }
        ";
    let stage = Stage::new(toml).await;
    stage.token("workload").await.unwrap();
    stage.token("front").await.unwrap();
    let expected = [
        "workload secret",
        "workload secret",
        "front id-of-workload-2",
    ];
    assert_eq!(stage.asked(), expected);
    let missing = Stage::new(&toml.replace("'id_token'", "'other'")).await;
    let error = missing.token("front").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
}

#[tokio::test]
async fn an_exchange_with_subject_and_actor_swapped_is_another_one() {
    let exchange = |name: &str, subject: &str, actor: &str| {
        let of = |scope: &str| format!("{{ provider = 'workload', scope = '{scope}' }}");
        let (subject, actor) = (of(subject), of(actor));
        format!(
            "[providers.{name}]\nkind = 'oauth2'\ntoken_endpoint = 'URL/front'\n\
             grant = 'token_exchange'\nsubject_token = {subject}\nactor_token = {actor}\n"
        )
    };
    let workload = "[providers.workload]\nkind = 'oauth2'\ntoken_endpoint = 'URL/workload'\n\
                    client_id = 'w'\nclient_secret = 's'\n";
    let (one, other) = (
        exchange("one", "user", "service"),
        exchange("other", "service", "user"),
    );
    let stage = Stage::new(&format!("{workload}{one}{other}")).await;
    let token = stage.token("one").await.unwrap();
    assert_ne!(stage.token("other").await.unwrap(), token);
    let asked = stage.asked();
    let exchanges = asked.iter().filter(|it| it.starts_with("front"));
    assert_eq!(exchanges.collect::<BTreeSet<_>>().len(), 2);
}

#[tokio::test]
async fn a_token_that_is_for_no_api_is_given_and_lent() {
    let toml = CHAIN.replace(
        "client_assertion = { provider = 'workload' }",
        "grant = 'token_exchange'\n    subject_token = { provider = 'workload' }\n    \
         requested_token_type = 'jwt'",
    );
    let stage = Stage::new(&toml).await;
    stage.state(|state| state.not_for_apis.push("middle"));
    assert_eq!(stage.token("middle").await.unwrap(), "middle-1");
    assert_eq!(stage.token("front").await.unwrap(), "front-1");
    let once = ["workload secret", "middle workload-1", "front middle-1"];
    assert_eq!(stage.asked(), once);
}

#[tokio::test]
async fn unknown_names_and_cycles_are_found_when_the_configuration_is_read() {
    let build = |toml: &str| {
        let toml = toml.replace("URL", "https://login.example");
        Biped::builder().without_environment().toml(toml).build()
    };
    let unknown = build(&CHAIN.replace("'workload' }", "'worklod' }")).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Configuration);
    let shown = unknown.to_string();
    assert!(
        shown.contains("providers.middle.client_assertion.provider"),
        "{shown}"
    );
    assert!(shown.contains("did you mean workload?"), "{shown}");

    let cycle = CHAIN.replace(
        "client_id = 'w'\n    client_secret = 's'",
        "client_assertion = { provider = 'front' }",
    );
    let shown = build(&cycle).unwrap_err().to_string();
    assert!(
        shown.contains("middle → workload → front → middle"),
        "{shown}"
    );
    let own = "[providers.a]\nkind = 'oauth2'\ntoken_endpoint = 'URL/a'\n\
               client_assertion = { provider = 'a' }";
    let shown = build(own).unwrap_err().to_string();
    assert!(shown.contains("a → a"), "{shown}");
    assert!(build(CHAIN).is_ok());
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_is_not_lent() {
    let toml = CHAIN.replace(
        "client_secret = 's'",
        "client_secret = 's'\n    dpop = true",
    );
    let stage = Stage::new(&toml).await;
    stage.state(|state| state.bound = true);
    let error = stage.token("middle").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.token_source(), Some("provider:workload"));
    assert_eq!(stage.asked(), ["workload secret"]);
}

#[tokio::test]
async fn a_stored_token_needs_no_other_providers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokens");
    let toml = format!(
        "[store]\nkind = 'file'\npath = '{}'\n{CHAIN}",
        path.display()
    );
    let mut stage = Stage::new(&toml).await;
    stage.token("front").await.unwrap();
    stage.biped.manager().drain().await;
    stage.asked();
    stage.state(|state| state.down = vec!["workload", "middle", "front"]);
    stage.start_again(&toml);
    assert_eq!(stage.token("front").await.unwrap(), "front-1");
    assert!(stage.asked().is_empty());
    // With another secret at the start of the chain it is another client's token.
    stage.start_again(&toml.replace("client_secret = 's'", "client_secret = 'other'"));
    stage.token("front").await.unwrap_err();
}
