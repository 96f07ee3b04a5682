//! The three forms of Azure's managed identities.

use std::fs;

use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any, header_exists},
};

use crate::{
    outcome::outcome,
    platforms::{answering, asked, header},
};

fn token() -> ResponseTemplate {
    ResponseTemplate::new(200)
        .set_body_json(json!({ "access_token": "a.z.u", "expires_in": "3599" }))
}

#[tokio::test]
async fn app_service_is_asked_with_its_header() {
    let server = answering(token()).await;
    let url = format!("{}/msi/token", server.uri());
    let variables = [
        ("IDENTITY_ENDPOINT", url.as_str()),
        ("IDENTITY_HEADER", "h3ader"),
        ("IMDS_ENDPOINT", "http://169.254.169.254"),
    ];
    let toml =
        "token = { azure = { resource = 'https://vault.azure.net/.default', resource_id = '/r' } }";
    let outcome = outcome(toml, &variables);
    assert_eq!(
        (&outcome["token"], &outcome["expires_in"]),
        (&json!("a.z.u"), &json!(3599))
    );
    let path = "GET /msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net\
                &mi_res_id=%2Fr";
    assert_eq!(asked(&server).await, [path]);
    let sent = header(&server, "x-identity-header").await;
    assert_eq!(sent.as_deref(), Some("h3ader"));
}

#[tokio::test]
async fn a_virtual_machine_asks_the_metadata_server() {
    let server = answering(token()).await;
    let toml = "token = { azure = { client_id = 'mine' } }";
    let host = server.uri();
    let variables = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", host.as_str())];
    assert_eq!(outcome(toml, &variables)["token"], "a.z.u");
    let toml = format!("token = {{ azure = {{ endpoint = '{host}' }} }}\nresource = 'https://r'");
    assert_eq!(outcome(&toml, &[])["token"], "a.z.u");
    let start = "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=";
    assert_eq!(
        asked(&server).await,
        [
            format!("{start}api%3A%2F%2FAzureADTokenExchange&client_id=mine"),
            format!("{start}https%3A%2F%2Fr"),
        ]
    );
    assert_eq!(header(&server, "metadata").await.as_deref(), Some("true"));
}

#[tokio::test]
async fn each_service_has_its_own_names_for_an_identity() {
    let server = answering(token()).await;
    let (host, url) = (server.uri(), format!("{}/msi/token", server.uri()));
    let of_service = [
        ("IDENTITY_ENDPOINT", url.as_str()),
        ("IDENTITY_HEADER", "h3ader"),
    ];
    let of_machine = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", host.as_str())];
    for (key, at_service, at_machine) in [
        ("client_id", "client_id", "client_id"),
        ("object_id", "object_id", "object_id"),
        ("resource_id", "mi_res_id", "msi_res_id"),
    ] {
        let toml = format!("token = {{ azure = {{ resource = 'r', {key} = 'mine' }} }}");
        assert_eq!(outcome(&toml, &of_service)["token"], "a.z.u");
        assert_eq!(outcome(&toml, &of_machine)["token"], "a.z.u");
        let all = asked(&server).await;
        let expected = [
            format!("GET /msi/token?api-version=2019-08-01&resource=r&{at_service}=mine"),
            format!(
                "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=r\
                 &{at_machine}=mine"
            ),
        ];
        assert_eq!(all[all.len() - 2..], expected, "{key}");
    }
}

/// An agent of Arc that names this file.
async fn arc(file: &str) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(header_exists("authorization"))
        .respond_with(token())
        .with_priority(1)
        .mount(&server)
        .await;
    let challenge = ResponseTemplate::new(401)
        .insert_header("WWW-Authenticate", format!("Basic realm={file}").as_str());
    Mock::given(any())
        .respond_with(challenge)
        .mount(&server)
        .await;
    server
}

fn ask_arc(server: &MockServer, directory: &str, more: &str) -> serde_json::Value {
    let url = format!("{}/metadata/identity/oauth2/token", server.uri());
    let variables = [
        ("IDENTITY_ENDPOINT", url.as_str()),
        ("IMDS_ENDPOINT", "http://127.0.0.1:40342"),
    ];
    let toml = format!("token = {{ azure = {{ key_directory = '{directory}'{more} }} }}");
    outcome(&toml, &variables)
}

#[tokio::test]
async fn arc_is_shown_the_key_in_the_file_that_it_names() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("7.key");
    fs::write(&file, "th3-key\n").unwrap();
    let server = arc(file.to_str().unwrap()).await;
    let directory = directory.path().to_str().unwrap();
    assert_eq!(ask_arc(&server, directory, "")["token"], "a.z.u");
    let path = "GET /metadata/identity/oauth2/token?api-version=2020-06-01\
                &resource=api%3A%2F%2FAzureADTokenExchange";
    assert_eq!(asked(&server).await, [path, path]);
    assert_eq!(
        header(&server, "authorization").await.as_deref(),
        Some("Basic th3-key")
    );

    // The agent's answer does not say whose token it is.
    let refused = ask_arc(&server, directory, ", client_id = 'mine'");
    assert_eq!(
        (&refused["kind"], &refused["transient"]),
        (&json!("secret"), &json!(false))
    );
}

#[tokio::test]
async fn arc_is_shown_no_other_file() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let write = |path: std::path::PathBuf, size: usize| {
        fs::write(&path, "k".repeat(size)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let files = [
        write(directory.path().join("7.txt"), 9),
        write(inner.join("7.key"), 9),
        format!("{}/../7.key", inner.display()),
        write(directory.path().join("large.key"), 4097),
        "7.key".to_owned(),
    ];
    for file in files {
        let server = arc(&file).await;
        let refused = ask_arc(&server, directory.path().to_str().unwrap(), "");
        assert_eq!(refused["kind"], "secret", "{file}");
        assert_eq!(asked(&server).await.len(), 1, "{file}");
    }
}

#[tokio::test]
async fn service_fabric_is_not_supported() {
    let outcome = outcome(
        "token = { azure = {} }",
        &[
            ("IDENTITY_ENDPOINT", "https://localhost:2377"),
            ("IDENTITY_HEADER", "h"),
            ("IDENTITY_SERVER_THUMBPRINT", "7"),
        ],
    );
    assert_eq!(outcome["kind"], "secret");
    assert!(
        outcome["shown"]
            .as_str()
            .unwrap()
            .contains("Service Fabric")
    );
}
