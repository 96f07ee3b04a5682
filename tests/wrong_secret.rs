//! A wrong secret costs one request, says so in the vendor's words, and is put right without a
//! restart.

use std::{fs, path::Path, time::Duration};

use biped::{Error, ErrorKind, token_error};
use biped_sandbox::{ACCOUNT, SHOP, Sandbox};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{Stage, account_entry};

const CALLERS: usize = 1_000;

async fn with_secret_file(file: &Path) -> Stage {
    let secret = format!(
        "client_secret = \"file:{}\"\nscope = \"data-export\"\nproject_id = 42",
        file.display()
    );
    Stage::configured(|sandbox: &Sandbox| account_entry(sandbox, "exports", &secret)).await
}

/// What each of a thousand callers is told.
async fn told(stage: &Stage) -> Vec<Result<u16, Error>> {
    let client = stage.biped.client("exports").unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..CALLERS {
        let client = client.clone();
        tasks.spawn(async move {
            let sent = client.get("/v1/exports").send().await;
            sent.map(|response| response.status().as_u16())
                .map_err(|error| token_error(&error).unwrap().clone())
        });
    }
    tasks.join_all().await
}

#[tokio::test]
async fn a_thousand_callers_with_a_wrong_secret_send_one_request_until_it_is_put_right() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("secret");
    fs::write(&file, "wrong\n").unwrap();
    let stage = with_secret_file(&file).await;

    for error in told(&stage).await.into_iter().map(Result::unwrap_err) {
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert_eq!(error.provider(), Some("exports"));
        let vendor = error.vendor().unwrap();
        assert_eq!(vendor.status, Some(401));
        assert_eq!(vendor.code.as_deref(), Some("INVALID_CREDENTIALS"));
        let words = "Invalid client_id or client_secret.";
        assert_eq!(vendor.message.as_deref(), Some(words));
    }
    assert_eq!(stage.token_requests(), 1);
    assert_eq!(stage.counts().api_calls.total, 0, "nothing without a token");

    // Looking at the same wrong secret again costs nothing.
    stage.clock.advance(Duration::from_secs(5));
    assert_eq!(
        stage.exports().await.unwrap_err().kind(),
        ErrorKind::Refused
    );
    assert_eq!(stage.token_requests(), 1);

    fs::write(&file, ACCOUNT.client_secret).unwrap();
    stage.clock.advance(Duration::from_secs(2));
    assert_eq!(stage.exports().await.unwrap(), 200);
    assert!(
        told(&stage)
            .await
            .iter()
            .all(|told| *told.as_ref().unwrap() == 200)
    );
    assert_eq!(stage.token_requests(), 2);
}

#[tokio::test]
async fn a_refused_client_does_not_stop_another() {
    let stage = Stage::new().await;
    assert!(stage.sandbox.change_secret(SHOP.client_id, "another"));
    let refused = stage.get("shop", "/v1/orders").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    let vendor = refused.vendor().unwrap();
    assert_eq!(vendor.code.as_deref(), Some("401021"));
    assert_eq!(vendor.reason.as_deref(), Some("invalid_client"));
    assert_eq!(stage.exports().await.unwrap(), 200);
}
