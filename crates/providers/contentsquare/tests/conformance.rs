//! Contentsquare keeps the promises of a provider.

use std::sync::Arc;

use biped_contentsquare::{Contentsquare, ContentsquareRequest as _, Scope, TOKEN_ENDPOINT};
use biped_core::{SecretRef, TokenRequest};
use biped_testing::{
    Reply,
    provider::conformance::{self, Case, SECRET, Sent},
};

fn granted(endpoint: &str) -> Reply {
    let body = format!(
        r#"{{"access_token":"eyJhbGciOi.the.token","token_type":"bearer","expires_in":3600,
            "scope":"data-export","project_id":42,"endpoint":"{endpoint}"}}"#
    );
    Reply::json(200, &body)
}

fn refused(status: u16, code: &str) -> Reply {
    let body = format!(r#"{{"success":false,"errorMessage":"Says why.","errorCode":"{code}"}}"#);
    Reply::json(status, &body)
}

#[tokio::test]
async fn contentsquare_keeps_the_promises_of_a_provider() {
    let case = Case::new(
        |secret| {
            let id = SecretRef::inline("client-7");
            Arc::new(Contentsquare::new(id, SecretRef::inline(secret)))
        },
        TokenRequest::new().scope(Scope::DataExport).project(42),
    )
    .sends(
        Sent::post(TOKEN_ENDPOINT)
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .body(format!(
                r#"{{"client_id":"client-7","client_secret":"{SECRET}","grant_type":"client_credentials","scope":"data-export","project_id":42}}"#
            )),
    )
    .grants("eyJhbGciOi.the.token", granted(""))
    .for_seconds(3600)
    .refuses_client(refused(401, "INVALID_CLIENT"))
    .refuses_request(refused(400, "PROJECT_REQUIRED"))
    .rejects(refused(401, "JWT_EXPIRED"))
    .differs_in(
        "client_id",
        Arc::new(Contentsquare::new(
            SecretRef::inline("client-8"),
            SecretRef::inline(SECRET),
        )),
    )
    .names_base_url("https://contentsquare.com", granted);
    let report = conformance::run(case).await;
    assert_eq!(report.unchecked(), []);
}
