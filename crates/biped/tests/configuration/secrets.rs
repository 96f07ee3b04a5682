//! Secrets arrive as they are, and are never shown.

use std::{fmt::Write as _, fs, sync::Arc};

use biped::{
    Builder,
    provider::{Field, FieldType, ProviderKind},
};
use proptest::prelude::*;

use crate::{
    assert_one, builder, lines, problems,
    vendor::{NoNetwork, kind, secret_of},
};

const PLANTED: &str = "pl4nted-s3cret";
/// The same as a number.
const DIGITS: &str = "918273645546372819";

/// Fields that are not secrets if they have the right type, and are part of a token's name.
const PUBLIC: [&str; 4] = ["client_id", "credentials", "scope", "project_id"];

/// What anybody can read of a configuration where a secret stands at `key`.
fn told_of(key: &str, builder: Builder) -> String {
    match builder.clone().build() {
        Ok(_) if PUBLIC.contains(&key) => format!("{builder:?}"),
        _ => told(builder),
    }
}

/// Everything that anybody can read of a configuration but its settings.
fn told(builder: Builder) -> String {
    let mut told = format!("{builder:?}");
    match builder.build() {
        Ok(biped) => {
            write!(told, "{biped:?}").unwrap();
            for name in biped.names() {
                write!(told, "{:?}", biped.provider(name)).unwrap();
                write!(told, "{:?}", biped.token_source(name)).unwrap();
            }
        }
        Err(error) => {
            write!(told, "{error} {error:?}").unwrap();
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                write!(told, "{error} {error:?}").unwrap();
                source = error.source();
            }
        }
    }
    told
}

#[track_caller]
fn assert_hidden(told: &str, text: &str) {
    for secret in [
        PLANTED,
        DIGITS,
        "9.18273645546372",
        "9182-07-03",
        "pl4nted",
        "s3cret",
    ] {
        assert!(
            !told.contains(secret),
            "{secret} is shown in {told}\n{text}"
        );
    }
}

fn shapes() -> Vec<String> {
    vec![
        format!("'{PLANTED}'"),
        format!("\"{PLANTED}\""),
        format!("'''\n{PLANTED}'''"),
        format!("['{PLANTED}']"),
        format!("['{PLANTED}', 1]"),
        format!("[['{PLANTED}']]"),
        format!("{{ cmd = ['true', '{PLANTED}'] }}"),
        format!("{{ cmd = '{PLANTED}' }}"),
        format!("{{ cmd = ['{PLANTED}', 1] }}"),
        format!("{{ x = '{PLANTED}' }}"),
        format!("[{{ client_id = '{PLANTED}', client_secret = 1 }}]"),
        format!("[{{ client_id = '{PLANTED}', client_secret = '{PLANTED}' }}]"),
        DIGITS.into(),
        format!("-{DIGITS}"),
        format!("{DIGITS}{DIGITS}"),
        format!("{DIGITS}.5"),
        "9182-07-03".into(),
        "9182-07-03T07:32:00Z".into(),
        // Not TOML at all.
        PLANTED.into(),
        format!("'{PLANTED}"),
        format!("\"{PLANTED}"),
        format!("\"{PLANTED}\\q\""),
        format!("'x\n{PLANTED} = true\n'"),
        format!("\"\"\"{PLANTED}"),
        format!("['{PLANTED}'"),
        format!("{{ x = '{PLANTED}'"),
        format!("'' '{PLANTED}'"),
        format!("= '{PLANTED}'"),
        format!("env {PLANTED}"),
    ]
}

/// The places where a value can stand.
fn places() -> Vec<(String, &'static str)> {
    let fields: Vec<_> = kind().fields().map(biped::provider::Field::name).collect();
    let provider = "client_secret = 's'\nkind = 'acme'\n";
    let mut places = Vec::new();
    for key in fields
        .into_iter()
        .chain(["unknown", "client_secrt", "kind.x", "params.region"])
    {
        let rest: String = provider
            .lines()
            .filter(|line| !line.starts_with(&format!("{key} ")))
            .map(|line| format!("{line}\n"))
            .collect();
        places.push((format!("[providers.a]\n{rest}"), key));
    }
    for kind in ["contentsquare", "envelope", "nothing", "oauth2", "platform"] {
        for key in [
            "client_id",
            "client_secret",
            "credentials",
            "scope",
            "base_url",
            "project_id",
        ] {
            places.push((format!("[providers.a]\nkind = '{kind}'\n"), key));
        }
    }
    for section in ["store", "http", "engine", "serve", "providers"] {
        for key in [
            "kind",
            "url",
            "extra_ca",
            "proxy",
            "timeout",
            "refresh_at",
            "max_keys",
            "x",
        ] {
            places.push((format!("[{section}]\n"), key));
        }
    }
    for key in [
        "providers",
        "http",
        "unknown",
        "providers.a",
        "providers.a.kind",
    ] {
        places.push((String::new(), key));
    }
    places
}

#[test]
fn a_secret_is_never_shown_wherever_it_stands_and_whatever_its_type() {
    for (before, key) in places() {
        for shape in shapes() {
            let text = format!("{before}{key} = {shape}\n");
            let with = builder().http_client(Arc::new(NoNetwork)).toml(&text);
            assert_hidden(&told_of(key, with), &text);
        }
    }
}

#[test]
fn a_secret_in_a_variable_or_the_builder_is_never_shown_either() {
    let base = "[providers.a]\nkind = 'acme'\nclient_secret = 's'\n";
    for (before, key) in places() {
        let section = before
            .lines()
            .next()
            .map(|line| line.trim_matches(['[', ']']));
        let Some(section) = section else { continue };
        let path = format!("{section}.{key}");
        let variable = format!("BIPED_{}", path.replace('.', "__").to_uppercase());
        for secret in [PLANTED, DIGITS] {
            let with = builder().http_client(Arc::new(NoNetwork)).toml(base);
            let set = with.clone().environment([(&variable, secret)]);
            assert_hidden(&told_of(key, set), &variable);
            assert_hidden(&told_of(key, with.value(&path, secret)), &path);
        }
    }
}

#[test]
fn the_shown_configuration_hides_what_may_be_a_secret() {
    let text = format!(
        "
[providers.a]
kind = 'acme'
client_id = ['the id', 'env:ID', {{ cmd = ['id', '{PLANTED}'] }}]
client_secret = ['{PLANTED}', 'env:NAME', 'file:name', {{ cmd = ['pass', '{PLANTED}'] }}]
params = {{ region = '{PLANTED}', key = 'env:KEY' }}
extra = ['{PLANTED}']
credentials = '{PLANTED}'
unknown = '{PLANTED}'
project_id = '{PLANTED}'
tags = [1, '{PLANTED}']
region = {{ x = '{PLANTED}' }}
token_endpoint = 'https://me:{PLANTED}@acme.example/token'
api_base_url = 'https://acme.example/?key={PLANTED}'

[providers.b]
kind = 'nothing'
region = '{PLANTED}'

[http]
proxy = 'http://me:{PLANTED}@proxy:3128'

[nothing]
x = '{PLANTED}'
"
    );
    let shown = builder().toml(&text).config().unwrap();
    let lines: Vec<_> = shown.iter().map(ToString::to_string).collect();
    assert_hidden(&lines.join("\n"), &text);
    assert_hidden(&format!("{shown:?}"), &text);
    let value = |key: &str| {
        &*shown
            .iter()
            .find(|setting| setting.key == key)
            .unwrap()
            .value
    };
    assert_eq!(
        value("providers.a.client_secret"),
        "[[redacted], env:NAME, file:name, cmd:pass]"
    );
    assert_eq!(
        value("providers.a.client_id"),
        "[\"the id\", env:ID, cmd:id]"
    );
    assert_eq!(value("providers.a.params.key"), "env:KEY");
    assert_eq!(value("providers.a.kind"), "\"acme\"");
    assert_eq!(value("providers.a.api_base_url"), "https://acme.example/");
}

/// Shapes of secrets, and of tables that name who makes a token or signs.
fn secret_shapes() -> Vec<String> {
    let mut shapes = shapes();
    shapes.extend([
        format!("\"-----BEGIN PRIVATE KEY-----\\n{PLANTED}\\n-----END PRIVATE KEY-----\""),
        format!("{{ signer = ['sign', '--pin', '{PLANTED}'], public = 'file:public.pem' }}"),
        format!("{{ pkcs11 = 'pkcs11:token=t?pin-value={PLANTED}' }}"),
        format!("{{ sign = {{ key = '{PLANTED}' }} }}"),
        format!("{{ headers = {{ x = '{PLANTED}' }} }}"),
    ]);
    shapes
}

#[test]
fn the_shown_configuration_hides_every_field_that_may_hold_a_secret() {
    let every = [
        FieldType::Secret,
        FieldType::Key,
        FieldType::TokenSource,
        FieldType::SecretTable,
    ];
    let names = ["a", "b", "c", "d"];
    let mut own = ProviderKind::new("own", crate::vendor::from_config);
    for (name, ty) in names.into_iter().zip(every) {
        own = own.field(Field::new(name, ty));
    }
    let builder = builder().provider_kind(own);
    let secrets = builder.kinds().flat_map(|kind| {
        let secrets = kind.fields().filter(|field| field.ty().is_secret());
        secrets.map(|field| (kind.name().to_owned(), field.name()))
    });
    for (kind, key) in secrets.collect::<Vec<_>>() {
        let base = format!("[providers.a]\nkind = '{kind}'\n");
        for shape in secret_shapes() {
            let text = format!("{base}{key} = {shape}\n");
            assert_hidden(&shown(&builder.clone().toml(&text)), &text);
        }
        let variable = format!("BIPED_PROVIDERS__A__{}", key.to_uppercase());
        let set = builder.clone().toml(&base).environment([
            (variable.clone(), PLANTED),
            (format!("{variable}__X"), PLANTED),
        ]);
        assert_hidden(&shown(&set), &variable);
    }
}

/// The shown configuration, if there is one.
fn shown(builder: &Builder) -> String {
    let settings = builder.config().unwrap_or_default();
    settings
        .iter()
        .map(|setting| format!("{setting}\n"))
        .collect()
}

#[cfg(feature = "oauth2")]
#[test]
fn the_parameters_of_a_token_request_are_hidden_and_a_reference_is_shown() {
    let text = format!(
        "[providers.a]\nkind = 'oauth2'\nparams.subscription = '{PLANTED}'\nparameters.x = {DIGITS}\n\
         key = 'file:key.pem'\n"
    );
    let shown = shown(&builder().toml(&text));
    assert_hidden(&shown, &text);
    for line in [
        "providers.a.params.subscription = [redacted]",
        "providers.a.parameters.x = [redacted]",
        "providers.a.key = file:key.pem",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_told_with_the_place_that_names_it() {
    for reference in [
        "'env:BIPED_TEST_NOWHERE'",
        "'file:nowhere'",
        "{ cmd = ['false'] }",
        "['env:BIPED_TEST_NOWHERE', 'file:nowhere']",
    ] {
        let biped = builder()
            .http_client(Arc::new(NoNetwork))
            .toml(format!(
                "[providers.shop]\nkind = 'envelope'\nbase_url = 'https://vendor.example'\n\
                 client_id = 'id'\nclient_secret = {reference}\n"
            ))
            .build()
            .unwrap();
        let error = biped.token_source("shop").unwrap().token().await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), biped::ErrorKind::Secret, "{error}");
        for part in ["providers.shop.client_secret", "the configuration text:5"] {
            assert!(error.message().contains(part), "{part}: {error}");
        }
    }
}

#[test]
fn an_empty_secret_is_a_problem_wherever_it_stands() {
    let text = "[providers.a]\nkind = 'acme'\nclient_secret = ";
    for empty in ["''", "['x', '']", "'inline:'"] {
        let found = problems(&format!("{text}{empty}\n"));
        assert_one(
            &found,
            "the configuration text:3: providers.a.client_secret: ",
            &[],
        );
        assert_eq!(found.len(), 1, "{found:?}");
    }
    let found = problems(
        "[providers.a]\nkind = 'envelope'\nbase_url = 'https://vendor.example'\n\
         credentials = [{ client_id = 'x', client_secret = '' }]\n",
    );
    assert_one(
        &found,
        "the configuration text:4: providers.a.credentials: ",
        &[],
    );
    let variable = "BIPED_PROVIDERS__A__CLIENT_SECRET";
    let from_variable = builder()
        .toml(format!("{text}'s'\n"))
        .environment([(variable, "")]);
    assert_one(&lines(from_variable.build()), variable, &["client_secret"]);
}

#[tokio::test]
async fn a_newline_at_the_end_of_a_secret_file_is_removed_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("biped.toml");
    fs::write(
        &path,
        "providers.a = { kind = 'acme', client_secret = 'file:secret' }",
    )
    .unwrap();
    let cases = [
        ("s", "s"),
        ("s\n", "s"),
        ("s\r\n", "s"),
        ("s\n\n", "s\n"),
        (" s \n", " s "),
        ("\ns", "\ns"),
        ("\"007\"\n", "\"007\""),
        ("env:X", "env:X"),
    ];
    for (content, secret) in cases {
        fs::write(dir.path().join("secret"), content).unwrap();
        let biped = builder()
            .http_client(Arc::new(NoNetwork))
            .file(&path)
            .build()
            .unwrap();
        assert_eq!(secret_of(&biped, "a").await, secret);
    }
}

#[tokio::test]
async fn an_inline_secret_is_what_stands_there() {
    let cases = [
        ("'123456'", "123456"),
        ("'007'", "007"),
        ("'\"quoted\"'", "\"quoted\""),
        ("\"tab\\there\"", "tab\there"),
        ("'inline:env:X'", "env:X"),
        ("'ENV:X'", "ENV:X"),
        ("' s '", " s "),
    ];
    for (written, secret) in cases {
        let text = format!("providers.a = {{ kind = 'acme', client_secret = {written} }}");
        let biped = builder()
            .http_client(Arc::new(NoNetwork))
            .toml(text)
            .build()
            .unwrap();
        assert_eq!(secret_of(&biped, "a").await, secret);
    }
}

fn garbage() -> impl Strategy<Value = String> {
    // Without characters that would make a key of the text.
    proptest::string::string_regex("['\"\\\\\n{}#,\u{0}\u{e9}\\] a0.-]{0,4}").unwrap()
}

/// The problems that begin with none of these places.
fn misplaced(built: Result<biped::Biped, biped::Error>, places: &[&str]) -> Vec<String> {
    let lines = match built {
        Ok(_) => Vec::new(),
        error => crate::lines(error),
    };
    let is_placed = |line: &String| places.iter().any(|place| line.starts_with(place));
    lines.into_iter().filter(|line| !is_placed(line)).collect()
}

proptest! {
    #[test]
    fn any_text_is_read_or_its_problems_name_their_lines(text in "\\PC*") {
        let built = builder().http_client(Arc::new(NoNetwork)).toml(&text).build();
        prop_assert_eq!(misplaced(built, &["the configuration text:"]), Vec::<String>::new());
    }

    #[test]
    fn anything_like_toml_is_read_or_its_problems_name_their_lines(
        text in "([a-c\\[\\]{}=.,'\"\n 0-9_+:TZ#-]|kind|providers|http|true|inf|nan|\"\"\"){0,60}"
    ) {
        let built = builder().http_client(Arc::new(NoNetwork)).toml(&text).build();
        prop_assert_eq!(misplaced(built, &["the configuration text:"]), Vec::<String>::new());
    }

    #[test]
    fn any_variables_are_read_or_their_problems_name_them(
        name in "BIPED_(PROVIDERS|STORE|HTTP|ENGINE)(__)?[A-Za-z_é.]{0,12}(__[A-Z_]{0,6})?",
        value in "\\PC*",
    ) {
        let text = "[providers.a]\nkind = 'acme'\nclient_secret = 's'\n[providers.é]\nkind = 'acme'\n";
        let with = builder().http_client(Arc::new(NoNetwork)).toml(text);
        let built = with.environment([(&name, value)]).build();
        prop_assert_eq!(misplaced(built, &[&name, "the configuration text:"]), Vec::<String>::new());
    }

    #[test]
    fn broken_text_around_a_secret_does_not_show_it(
        before in garbage(),
        after in garbage(),
        elsewhere in garbage(),
        at in 0..60usize,
    ) {
        let head = "[providers.a]\nkind = 'acme'\nregion = 'eu'\nclient_secret =";
        let mut text = head.to_owned();
        text.insert_str(at.min(head.len()), &elsewhere);
        write!(text, " {before}{PLANTED}{after}\nproject_id = 42\n").unwrap();
        assert_hidden(&told(builder().http_client(Arc::new(NoNetwork)).toml(&text)), &text);
    }
}
