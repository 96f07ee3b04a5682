//! Which references may be resolved: what only shows a configuration reads little, or nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{path::Path, sync::Arc};

use biped_config::{ConfigTable, ConfigValue, Origin, Value};
use biped_core::{ErrorKind, ExposeSecret, References, SecretRef, SystemClock};

fn value(raw: Value, references: References) -> ConfigValue {
    let origin = Origin::File {
        path: Arc::from(Path::new("biped.toml")),
        line: 3,
        column: 0,
    };
    ConfigValue {
        raw,
        origin: origin.limited(references),
    }
}

fn secret(text: &str, references: References) -> SecretRef {
    value(text.into(), references).to_secret().unwrap()
}

/// A file that holds `value`, and a reference to it.
fn file() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "value").unwrap();
    let reference = format!("file:{}", path.display());
    (directory, reference)
}

#[tokio::test]
async fn what_may_not_be_resolved_is_read_in_no_way() {
    let _limit = biped_testing::TimeLimit::start();
    let (directory, file) = file();
    let mark = directory.path().join("mark");
    let command = format!("cmd:touch {}", mark.display());
    for (text, references) in [
        (&*command, References::WithoutCommands),
        (&command, References::None),
        (&file, References::None),
        ("env:PATH", References::None),
    ] {
        let secret = secret(text, references);
        let now = secret.read_now().unwrap_err();
        let later = secret.resolve(0, &SystemClock).await.unwrap_err();
        for error in [now, later] {
            assert_eq!(error.kind(), ErrorKind::Secret, "{text}");
            assert!(!error.is_transient(), "{text}");
        }
        assert!(!mark.exists());
        let identity = secret.identity();
        assert!(identity.starts_with(&text[..4]), "{identity}");
    }
}

#[test]
fn what_may_be_resolved_is() {
    let _limit = biped_testing::TimeLimit::start();
    let (_directory, file) = file();
    let read = |text: &str, references| {
        let secret = secret(text, references).read_now().unwrap();
        secret.expose_secret().to_owned()
    };
    assert_eq!(read(&file, References::WithoutCommands), "value");
    assert_eq!(read("itself", References::None), "itself");
    let identity = secret(&file, References::WithoutCommands).identity();
    assert_eq!(identity, "value");
}

#[test]
fn a_limit_is_kept_whatever_is_made_of_the_reference() {
    let _limit = biped_testing::TimeLimit::start();
    let (_directory, file) = file();
    let limited = secret(&file, References::None);
    let open = SecretRef::inline("itself");
    for made in [
        limited.clone().limited_to(References::All),
        limited.or(&open),
        limited.relative_to(Path::new("/")),
        limited.clone().configured_at("there"),
    ] {
        assert!(made.read_now().is_err(), "{made:?}");
    }
    assert!(open.or(&limited).resolve_last().is_err());
    // In a list each has the limit of where it stands.
    let list = Value::List(vec![value(file.as_str().into(), References::None)]);
    let list = value(list, References::All).to_secret().unwrap();
    assert!(list.read_now().is_err());
}

/// The last of several places, without a runtime of the test's own.
trait ResolveLast {
    fn resolve_last(&self) -> Result<(), biped_core::Error>;
}

impl ResolveLast for SecretRef {
    fn resolve_last(&self) -> Result<(), biped_core::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let last = self.candidates() - 1;
        runtime.block_on(self.resolve(last, &SystemClock)).map(drop)
    }
}

#[test]
fn a_limited_place_is_shown_as_it_was_and_files_are_relative_to_it() {
    let _limit = biped_testing::TimeLimit::start();
    let origin = value(true.into(), References::None).origin;
    assert_eq!(origin.to_string(), "biped.toml:3");
    assert_eq!(origin.directory(), Some(Path::new("")));
    assert_eq!(origin.references(), References::None);
    let again = origin.limited(References::WithoutCommands);
    assert_eq!(again.references(), References::None);
    let variable = Origin::Variable("X".into()).limited(References::None);
    let literal = ConfigValue {
        raw: "env:PATH".into(),
        origin: variable,
    };
    let read = literal.to_secret().unwrap().read_now().unwrap();
    assert_eq!(read.expose_secret(), "env:PATH");
}

#[test]
fn a_list_in_a_list_names_no_places() {
    let at = |raw: Value| value(raw, References::All);
    let list = |raw: Value| Value::List(vec![at(raw)]);
    assert!(at(list("a".into())).to_secret().is_some());
    assert!(at(list(list("a".into()))).to_secret().is_none());
}

#[test]
fn what_is_wrong_in_a_table_is_told_where_it_is() {
    let path = Path::new("biped.toml");
    let text = "one = 1\n[params]\nhost = 'a'\nhots = 'b'\n";
    let table = ConfigTable::from_toml(path, text).unwrap();
    for (key, place) in [
        ("params.hots", "biped.toml:4"),
        ("params.missing", "biped.toml:2"),
        ("one", "biped.toml:1"),
        ("two.three", "biped.toml:1"),
    ] {
        let error = table.invalid(key, "wrong");
        let told = format!("{place}: {key}: wrong");
        assert!(error.message().starts_with(&told), "{error}");
    }
}
