//! The envelope vendor keeps the promises of a provider, in each form of its answers.

use std::sync::Arc;

use biped_core::{SecretRef, TokenRequest};
use biped_envelope::Envelope;
use biped_testing::{
    Reply,
    provider::conformance::{self, Case, Gap, SECRET, Sent},
};
use url::Url;

fn case() -> Case {
    let make = |secret: &str| -> Arc<dyn biped_core::Provider> {
        let base_url = Url::parse("https://api.vendor.example").unwrap_or_else(|_| unreachable!());
        let id = SecretRef::inline("shop-7");
        Arc::new(Envelope::new(&base_url, id, SecretRef::inline(secret)))
    };
    let elsewhere = Url::parse("https://elsewhere.example").unwrap_or_else(|_| unreachable!());
    let id = SecretRef::inline("shop-7");
    let other = Envelope::new(&elsewhere, id, SecretRef::inline(SECRET));
    let case = Case::new(make, TokenRequest::new()).differs_in("base_url", Arc::new(other));
    case.sends(
        Sent::post("https://api.vendor.example/v1/auth/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(format!("client_id=shop-7&client_secret={SECRET}")),
    )
}

#[tokio::test]
async fn envelopes_that_are_objects() {
    let granted =
        r#"{"data":{"access_token":"sk-418e41a7","token_type":"Bearer","expires_in":3600}}"#;
    let refused = |code: &str, reason: &str| {
        format!(r#"{{"error":{{"code":"{code}","code_reason":"{reason}","message":"Says why."}}}}"#)
    };
    let case = case()
        .grants("sk-418e41a7", Reply::json(200, granted))
        .for_seconds(3600)
        .refuses_client(Reply::json(401, &refused("401021", "invalid_client")))
        .refuses_request(Reply::json(400, &refused("400013", "invalid_request")));
    let report = conformance::run(case).await;
    assert_eq!(report.unchecked(), [Gap::Rejection]);
}

#[tokio::test]
async fn envelopes_that_are_texts() {
    let granted = r#"{"data":"{\"access_token\":\"sk-418e41a7\",\"expires_in\":3600}"}"#;
    let refused = |code: &str| format!(r#"{{"error":"{{\"code_reason\":\"{code}\"}}"}}"#);
    let case = case()
        .grants("sk-418e41a7", Reply::json(200, granted))
        .for_seconds(3600)
        .refuses_client(Reply::json(401, &refused("invalid_client")))
        .refuses_request(Reply::json(403, &refused("forbidden")));
    let report = conformance::run(case).await;
    assert_eq!(report.unchecked(), [Gap::Rejection]);
}
