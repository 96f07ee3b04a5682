//! A secret is rotated while the application runs.

use std::{fs, path::PathBuf, time::Duration};

use biped::ErrorKind;
use biped_sandbox::ACCOUNT;
use tempfile::TempDir;

use crate::{LIFETIME, Stage, account_entry, until};

/// The secret's file, and an application that reads it and has its first token.
async fn with_secret_file(directory: &TempDir) -> (PathBuf, Stage) {
    let file = directory.path().join("secret");
    fs::write(&file, ACCOUNT.client_secret).unwrap();
    let stage = Stage::configured(|sandbox| {
        let lines = format!(
            "client_secret = \"file:{}\"\nscope = \"data-export\"\nproject_id = 42",
            file.display()
        );
        account_entry(sandbox, "exports", &lines)
    })
    .await;
    assert_eq!(stage.exports().await.unwrap(), 200);
    (file, stage)
}

#[tokio::test]
async fn a_rotated_secret_needs_no_restart() {
    let directory = TempDir::new().unwrap();
    let (file, stage) = with_secret_file(&directory).await;

    stage.sandbox.change_secret(ACCOUNT.client_id, "rotated");
    assert_eq!(stage.exports().await.unwrap(), 200, "the token is good");
    fs::write(&file, "rotated\n").unwrap();
    for _ in 0..3 {
        stage.clock.advance(LIFETIME);
        assert_eq!(stage.exports().await.unwrap(), 200);
    }
    let requests = stage.counts().token_requests;
    assert_eq!((requests.issued, requests.refused), (4, 0));
}

#[tokio::test]
async fn a_rotated_field_of_json_needs_no_restart() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("creds.json");
    let write = |secret: &str| fs::write(&file, format!(r#"{{"a": {{"secret": "{secret}"}}}}"#));
    write(ACCOUNT.client_secret).unwrap();
    let stage = Stage::configured(|sandbox| {
        let lines = format!(
            "client_secret = \"file:{}#/a/secret\"\nscope = \"data-export\"\nproject_id = 42",
            file.display()
        );
        account_entry(sandbox, "exports", &lines)
    })
    .await;
    assert_eq!(stage.exports().await.unwrap(), 200);
    stage.sandbox.change_secret(ACCOUNT.client_id, "rotated");
    write("rotated").unwrap();
    stage.clock.advance(LIFETIME);
    assert_eq!(stage.exports().await.unwrap(), 200);
    let requests = stage.counts().token_requests;
    assert_eq!((requests.issued, requests.refused), (2, 0));
}

#[tokio::test]
async fn an_old_and_a_new_secret_overlap() {
    let stage = Stage::configured(|sandbox| {
        let lines = format!(
            "client_secret = [\"{}\", \"the next one\"]\nscope = \"data-export\"\nproject_id = 42",
            ACCOUNT.client_secret
        );
        account_entry(sandbox, "exports", &lines)
    })
    .await;
    assert_eq!(stage.exports().await.unwrap(), 200);
    assert_eq!(stage.counts().token_requests.refused, 0);

    let next = "the next one";
    assert!(stage.sandbox.change_secret(ACCOUNT.client_id, next));
    for _ in 0..3 {
        stage.clock.advance(LIFETIME);
        assert_eq!(stage.exports().await.unwrap(), 200);
    }
    let refused = stage.counts().token_requests.refused;
    assert_eq!(refused, 1, "the one that works is remembered");
}

#[tokio::test]
async fn a_secret_file_that_is_away_for_a_moment_costs_nobody_a_token() {
    let directory = TempDir::new().unwrap();
    let (file, stage) = with_secret_file(&directory).await;
    fs::remove_file(&file).unwrap();
    stage.clock.advance(LIFETIME.mul_f64(0.9));
    for _ in 0..3 {
        assert_eq!(stage.exports().await.unwrap(), 200, "the token serves");
    }
    // Its file is looked at in the background, and may not be looked at for hours.
    let source = stage.biped.token_source("exports").unwrap();
    let looked = || source.status().last_error.is_some();
    until("the refresh failed", looked).await;
    stage.clock.advance(LIFETIME.mul_f64(0.1));
    let error = stage.driven(stage.exports()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert!(error.is_transient());

    fs::write(&file, ACCOUNT.client_secret).unwrap();
    stage.clock.advance(Duration::from_secs(2));
    assert_eq!(stage.exports().await.unwrap(), 200);
}
