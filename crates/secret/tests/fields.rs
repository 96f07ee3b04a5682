//! Variables in the paths of files, and fields of JSON.
#![allow(clippy::unwrap_used)]

use std::fs;

use biped_core::{Error, ErrorKind, ExposeSecret, ProviderId, References, SecretRef, SystemClock};

async fn read(text: &str) -> Result<String, Error> {
    let secret: SecretRef = text.parse()?;
    let read = secret.resolve(0, &SystemClock).await?;
    let now = secret.read_now()?;
    assert_eq!(read.expose_secret(), now.expose_secret());
    Ok(read.expose_secret().to_owned())
}

#[tokio::test]
async fn a_path_may_contain_variables() {
    let _limit = biped_testing::TimeLimit::start();
    let own = fs::read_to_string("Cargo.toml").unwrap();
    let path = "file:${CARGO_MANIFEST_DIR}/Cargo.toml";
    assert_eq!(read(path).await.unwrap(), own.trim_end_matches('\n'));
    let secret: SecretRef = path.parse().unwrap();
    assert_eq!(secret.to_string(), path);
    // An absolute path stays one, and a relative one is relative to the configuration's directory.
    let elsewhere = secret.relative_to("/nowhere".as_ref());
    assert!(elsewhere.resolve(0, &SystemClock).await.is_ok());
    let relative: SecretRef = "file:${CARGO_PKG_NAME}/x".parse().unwrap();
    let error = relative.relative_to("/no/where".as_ref());
    let error = error.resolve(0, &SystemClock).await.unwrap_err();
    assert!(
        error.message().contains("/no/where/biped-secret/x"),
        "{error}"
    );
}

#[tokio::test]
async fn a_variable_that_is_not_set_is_named() {
    let _limit = biped_testing::TimeLimit::start();
    let error = read("file:${NO_SUCH_DIRECTORY}/x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert!(error.message().contains("NO_SUCH_DIRECTORY"), "{error}");
}

#[tokio::test]
async fn a_dollar_without_a_brace_is_itself_and_only_paths_have_variables() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a$HOME");
    fs::write(&path, "x").unwrap();
    assert_eq!(
        read(&format!("file:{}", path.display())).await.unwrap(),
        "x"
    );
    assert_eq!(read("inline:${HOME}").await.unwrap(), "${HOME}");
    assert_eq!(read("${HOME}").await.unwrap(), "${HOME}");
    // In code, a path is a path.
    let literal = directory.path().join("${HOME}");
    fs::write(&literal, "y").unwrap();
    let literal = SecretRef::file(literal).resolve(0, &SystemClock).await;
    assert_eq!(literal.unwrap().expose_secret(), "y");
}

#[tokio::test]
async fn a_path_that_looks_like_something_else_says_what_to_write() {
    let _limit = biped_testing::TimeLimit::start();
    for (text, remedy) in [
        ("file:creds.json#client_secret", "#/FIELD"),
        ("file:$HOME/no-such-file", "${NAME}"),
        ("file:~/no-such-file", "${HOME}"),
        ("file:no-such-file", "correct its path"),
    ] {
        let error = read(text).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.is_transient()),
            (ErrorKind::Secret, true)
        );
        let told = error.remedy().unwrap();
        assert!(told.contains(remedy), "{text}: {told}");
    }
}

#[tokio::test]
async fn a_field_is_read_of_json() {
    let _limit = biped_testing::TimeLimit::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("creds.json");
    fs::write(
        &path,
        r#"{"a": {"b/c": "s3cret"}, "n": 7, "neighbour": "n3ighbour", "e": ""}"#,
    )
    .unwrap();
    let at = |pointer: &str| format!("file:{}#{pointer}", path.display());
    assert_eq!(read(&at("/a/b~1c")).await.unwrap(), "s3cret");
    assert_eq!(read(&at("/n")).await.unwrap(), "7");
    for pointer in ["/a", "/missing", "/e", "/a/x"] {
        let error = read(&at(pointer)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Secret);
        let shown = error.to_string();
        assert!(
            shown.contains("creds.json") && shown.contains(pointer),
            "{shown}"
        );
        assert!(!shown.contains("n3ighbour"), "{shown}");
    }
    // A number that a parser would write in another way is not what the file holds.
    for (written, is_read) in [
        ("12345678901234567890123", false),
        ("1.10", false),
        ("1e3", false),
        ("1.5", true),
        ("-20", true),
    ] {
        fs::write(&path, format!(r#"{{"other": 1.1, "pin": {written}}}"#)).unwrap();
        let read = read(&at("/pin")).await;
        match is_read {
            true => assert_eq!(read.unwrap(), written),
            false => assert!(
                read.unwrap_err().message().contains("as a text"),
                "{written}"
            ),
        }
    }
    fs::write(&path, "no JSON").unwrap();
    assert_eq!(read(&at("/a")).await.unwrap_err().kind(), ErrorKind::Secret);

    let command = SecretRef::command(["echo", r#"{"key": "from a command"}"#]).at("/key");
    let read = command.resolve(0, &SystemClock).await.unwrap();
    assert_eq!(read.expose_secret(), "from a command");
    assert_eq!(command.to_string(), "cmd:echo#/key");
}

#[tokio::test]
async fn fields_tell_credentials_apart_and_are_limited_like_their_places() {
    let _limit = biped_testing::TimeLimit::start();
    let id = |text: &str| {
        let secret: SecretRef = text.parse().unwrap();
        ProviderId::new("acme", "https://login.example", "").credential(&secret)
    };
    let all = [
        "env:A",
        "env:A#/a",
        "env:A#/b",
        "file:a#/a",
        "file:a",
        "file:${A}/a",
        "file:${B}/a",
    ];
    for (at, one) in all.iter().enumerate() {
        assert_eq!(id(one), id(one));
        for other in &all[at + 1..] {
            assert_ne!(id(one), id(other), "{one} {other}");
        }
    }
    for text in ["env:PATH#/a", "file:${PATH}/x"] {
        let secret: SecretRef = text.parse().unwrap();
        let limited = secret.limited_to(References::None);
        let error = limited.resolve(0, &SystemClock).await.unwrap_err();
        assert!(error.message().contains("only shown"), "{error}");
        assert_eq!(limited.identity(), text);
    }
}
