//! An application's own `biped` command: all commands know the kind that it brings.
//!
//! This program is both: the application where `RUN_AS_COMMAND` is set, else its test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    process::{Command, ExitCode, Output},
    sync::Arc,
};

use biped::{
    Biped, Builder, Error, ExposeSecret, ParamValue, Token, TokenRequest,
    provider::{
        FetchContext, Field, FieldType, Lifetime, Provider, ProviderConfig, ProviderId,
        ProviderKind, SecretRef, async_trait,
    },
};
use serde_json::Value;

fn main() -> ExitCode {
    if std::env::var_os(RUN_AS_COMMAND).is_some() {
        return biped_cli::run(builder());
    }
    test();
    ExitCode::SUCCESS
}

const RUN_AS_COMMAND: &str = "RUN_AS_COMMAND";

fn builder() -> Builder {
    let kind = ProviderKind::new("keyring", from_config)
        .field(Field::new("key", FieldType::Secret).required())
        .field(Field::new("door", FieldType::Integer).per_request());
    Biped::builder().provider_kind(kind).toml(
        r#"
        [providers.house]
        kind = "keyring"
        key = "inline:k-1"
        api_base_url = "http://127.0.0.1:1/doors"
        "#,
    )
}

fn from_config(config: &ProviderConfig) -> Result<Arc<dyn Provider>, Error> {
    let key = config.secret("key").ok_or_else(|| config.missing("key"))?;
    let id = ProviderId::new("keyring", "keyring:", "me").named(config.name());
    let id = id.credential(&key);
    Ok(Arc::new(Keyring { id, key }))
}

/// Gives out a key for a door, good until it is rejected, without asking anybody.
#[derive(Debug)]
struct Keyring {
    id: ProviderId,
    key: SecretRef,
}

#[async_trait]
impl Provider for Keyring {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn lives_until_rejected(&self) -> bool {
        true
    }

    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let key = cx.secret(&self.key).await?;
        let door = request.value("door").and_then(ParamValue::as_integer);
        let token = format!("{}-{}", key.expose_secret(), door.unwrap_or(0));
        Token::new(token, cx.sent_at())
            .assumed_lifetime(Lifetime::UntilRejected)
            .build()
    }
}

fn test() {
    assert_eq!(ok(&["token", "house", "--param", "door=7"]), "k-1-7\n");
    assert_eq!(
        run(&["token", "house", "--param", "door=x"]).status.code(),
        Some(2)
    );

    let token: Value = serde_json::from_str(&ok(&["token", "house", "--format", "json"])).unwrap();
    assert_eq!(token["access_token"], "k-1-0");
    assert_eq!(token["base_url"], "http://127.0.0.1:1/doors");
    for unlimited in ["expires_at", "expires_in", "scope"] {
        assert!(token[unlimited].is_null(), "{unlimited}");
    }

    assert!(ok(&["list"]).contains("keyring"));
    assert!(ok(&["check"]).contains("http://127.0.0.1:1/doors"));
    assert!(ok(&["config", "schema"]).contains("kind-keyring"));
    assert!(!ok(&["config", "show"]).contains("k-1"));
    let script = "echo \"$HOUSE_ACCESS_TOKEN ${HOUSE_EXPIRES_AT-never}\"";
    assert_eq!(
        ok(&["exec", "house", "--", "sh", "-c", script]),
        "k-1-0 never\n"
    );
    for others in [
        &["inspect", "house"][..],
        &["forget", "house"],
        &["vendors"],
        &["completions", "bash"],
        &["man"],
    ] {
        ok(others);
    }
    // No server listens there.
    assert_eq!(run(&["call", "house", "GET", "/7"]).status.code(), Some(4));
    its_starter_has_an_entry_for_it();
}

fn its_starter_has_an_entry_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("biped.toml");
    let file = path.to_str().unwrap();
    ok(&["--config", file, "init"]);
    let starter = std::fs::read_to_string(&path).unwrap();
    let (_, entry) = starter.split_once("# [providers.\"keyring\"]").unwrap();
    let entry: String = entry
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(entry.contains("key = \"env:KEYRING_KEY\""), "{entry}");
    std::fs::write(&path, format!("[providers.flat]\n{entry}")).unwrap();
    assert!(ok(&["--config", file, "list"]).contains("flat"));
}

fn run(arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .current_dir(directory.path())
        .env(RUN_AS_COMMAND, "1")
        .env("XDG_CONFIG_HOME", directory.path())
        .output()
        .unwrap()
}

#[track_caller]
fn ok(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
