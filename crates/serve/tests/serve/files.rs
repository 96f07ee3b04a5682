//! Tokens in files.

use crate::stage::{Stage, until};

fn file(path: &std::path::Path, rest: &str) -> String {
    format!(
        "[[serve.files]]\nprovider = 'shop'\npath = '{}'\n{rest}\n",
        path.display()
    )
}

#[tokio::test]
async fn a_token_is_in_its_file_before_the_sidecar_is_ready() {
    let directory = tempfile::tempdir().unwrap();
    for (format, expected) in [
        ("token", "token-1"),
        ("header", "Authorization: Bearer token-1\n"),
        ("env", "SHOP_ACCESS_TOKEN='token-1'\n"),
    ] {
        let path = directory.path().join(format);
        let stage = Stage::with("", &file(&path, &format!("format = '{format}'"))).await;
        stage.running.warmed().await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        }
        stage.running.stop(false).await;
        assert!(path.exists());
    }
    let leftovers = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(leftovers, 3);
}

#[tokio::test]
async fn the_file_follows_the_token_and_goes_where_that_is_wished() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let stage = Stage::with("", &file(&path, "remove = true")).await;
    let mut issued = 10;
    stage.vendor.tokens(move |_| {
        issued += 1;
        crate::vendor::token(&format!("short-{issued}"), 2)
    });
    stage.running.warmed().await;
    let first = std::fs::read_to_string(&path).unwrap();
    // It may be gone for a moment.
    let read = || std::fs::read_to_string(&path).unwrap_or_else(|_| first.clone());
    until("the file holds another token", async || {
        let next = read();
        assert!(next.starts_with("short-"), "{next}");
        next != first
    })
    .await;
    stage.running.stop(false).await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_whose_token_has_expired_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let stage = Stage::with("warm = []", &file(&path, "")).await;
    let mut issued = 0;
    stage.vendor.tokens(move |_| {
        issued += 1;
        match issued {
            1 => crate::vendor::token("short", 2),
            _ => crate::vendor::Act::Last(Vec::new()),
        }
    });
    stage.running.warmed().await;
    until("the file is removed", async || !path.exists()).await;
}
