//! What each failure of a source is, and whether it may pass.

use std::net::TcpListener;

use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::{outcome::outcome, platforms::answering};

/// Kind, and whether it may pass.
fn verdict(outcome: &Value) -> (&str, bool) {
    let kind = outcome["kind"]
        .as_str()
        .unwrap_or_else(|| panic!("{outcome}"));
    (kind, outcome["transient"].as_bool().unwrap())
}

#[tokio::test]
async fn a_status_says_whether_it_may_pass() {
    for (status, at_github, at_gcp) in [
        (400, ("secret", false), ("secret", false)),
        (401, ("secret", false), ("secret", false)),
        (404, ("secret", false), ("unavailable", true)),
        (410, ("secret", false), ("unavailable", true)),
        (408, ("unavailable", true), ("unavailable", true)),
        (425, ("unavailable", true), ("unavailable", true)),
        (429, ("unavailable", true), ("unavailable", true)),
        (500, ("unavailable", true), ("unavailable", true)),
        (503, ("unavailable", true), ("unavailable", true)),
        (302, ("invalid_response", true), ("invalid_response", true)),
    ] {
        let words = json!({ "message": "said no" });
        let answer = ResponseTemplate::new(status)
            .insert_header("Location", "http://127.0.0.1:1/")
            .set_body_json(words);
        let server = answering(answer).await;
        let url = server.uri();
        let variables = [
            ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "runner"),
        ];
        let github = outcome("token = { github = {} }", &variables);
        assert_eq!(verdict(&github), at_github, "{status}");
        assert_eq!(github["source"], "github");
        assert_eq!(github["status"], status);
        if github["kind"] == "secret" {
            assert_eq!(github["said"], "said no");
        }
        let gcp = outcome(
            &format!("token = {{ gcp = {{ endpoint = '{url}' }} }}"),
            &[],
        );
        assert_eq!(verdict(&gcp), at_gcp, "{status}");
        let azure = outcome(
            &format!("token = {{ azure = {{ endpoint = '{url}' }} }}"),
            &[],
        );
        assert_eq!(verdict(&azure), at_gcp, "{status}");
        assert_eq!(azure["source"], "azure");
    }
}

#[tokio::test]
async fn what_is_no_token_is_an_invalid_response() {
    let page = ResponseTemplate::new(200).set_body_string("<html>log in</html>");
    let server = answering(page).await;
    let url = outcome(&format!("token = {{ url = '{}' }}", server.uri()), &[]);
    assert_eq!(verdict(&url), ("invalid_response", true));
    let other = answering(ResponseTemplate::new(200).set_body_json(json!({ "other": 1 }))).await;
    let at = format!("token = {{ url = '{}', at = '/token' }}", other.uri());
    assert_eq!(verdict(&outcome(&at, &[])), ("invalid_response", true));
}

#[tokio::test]
async fn nothing_that_listens_is_unreachable() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let outcome = outcome(
        &format!("token = {{ gcp = {{ endpoint = 'http://127.0.0.1:{port}' }} }}"),
        &[],
    );
    assert_eq!(verdict(&outcome), ("unreachable", true));
    assert_eq!(outcome["source"], "gcp");
}

#[test]
fn what_is_not_there_is_a_secret_that_lacks() {
    let toml = "token = 'env:NO_SUCH_VARIABLE'";
    let variable = outcome(toml, &[]);
    assert_eq!(verdict(&variable), ("secret", false));
    assert_eq!(variable["source"], "env:NO_SUCH_VARIABLE");
    let file = outcome("token = 'file:/no/such/file'", &[]);
    assert_eq!(verdict(&file), ("secret", true));
    assert_eq!(file["source"], "file:/no/such/file");
    let github = outcome("token = { github = {} }", &[]);
    assert_eq!(verdict(&github), ("secret", false));
    let shown = github["shown"].as_str().unwrap();
    assert!(shown.contains("ACTIONS_ID_TOKEN_REQUEST_URL"), "{shown}");
}

#[test]
fn a_variable_sends_no_request_to_a_stranger() {
    let stranger = "http://192.0.2.7/token";
    for (toml, variables) in [
        (
            "token = { github = {} }",
            &[
                ("ACTIONS_ID_TOKEN_REQUEST_URL", stranger),
                ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t"),
            ][..],
        ),
        (
            "token = { azure = {} }",
            &[("IDENTITY_ENDPOINT", stranger), ("IDENTITY_HEADER", "h")],
        ),
        (
            "token = { azure = {} }",
            &[
                ("IDENTITY_ENDPOINT", stranger),
                ("IMDS_ENDPOINT", "http://127.0.0.1:40342"),
            ],
        ),
        (
            // The host's services are asked at an address, not at a name that may be anyone's.
            "token = { azure = {} }",
            &[
                ("IDENTITY_ENDPOINT", "http://metadata.google.internal/token"),
                ("IDENTITY_HEADER", "h"),
            ],
        ),
        (
            "token = { azure = {} }",
            &[(
                "AZURE_POD_IDENTITY_AUTHORITY_HOST",
                "http://169.254.169.253",
            )],
        ),
        (
            "token = { gcp = {} }",
            &[("GCE_METADATA_HOST", "192.0.2.7")],
        ),
        (
            "token = { gcp = {} }",
            &[("GCE_METADATA_HOST", "169.254.169.254:8080")],
        ),
    ] {
        let refused = outcome(toml, variables);
        assert_eq!(verdict(&refused), ("secret", false), "{toml}");
    }
}

#[tokio::test]
async fn a_platform_may_say_why_in_a_plain_text() {
    for (body, is_told) in [("no identity is set up\n", true), ("<html>no", false)] {
        let server = answering(ResponseTemplate::new(400).set_body_string(body)).await;
        let toml = format!("token = {{ url = '{}' }}", server.uri());
        let refused = outcome(&toml, &[]);
        assert_eq!(verdict(&refused), ("secret", false));
        assert_eq!(
            refused.to_string().contains(body.trim()),
            is_told,
            "{refused}"
        );
    }
}

#[tokio::test]
async fn no_secret_of_a_platform_is_shown() {
    let words = json!({ "message": "no runner-s3cret here" });
    let server = answering(ResponseTemplate::new(403).set_body_json(words)).await;
    let url = server.uri();
    let variables = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "runner-s3cret"),
    ];
    let refused = outcome("token = { github = {} }", &variables);
    assert!(!refused.to_string().contains("runner-s3cret"), "{refused}");
}
