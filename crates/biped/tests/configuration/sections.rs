//! `[store]`, `[http]` and `[engine]`, the schema and the documentation of them.

use std::{collections::BTreeSet, fs};

use crate::{assert_one, builder, problems};

#[test]
fn every_key_of_the_sections_is_taken() {
    const TEXT: &str = "
[http]
connect_timeout = 3
timeout = '20s'
read_timeout = 0.5
ping_interval = '15s'
max_body = 1000
proxy = 'http://me:pw@127.0.0.1:3128'
[engine]
refresh_at = 0.5
margin = '10s'
max_wait = '1500ms'
concurrent_fetches = 2
fetches_per_minute = 100
max_keys = 10
idle = '1d'
share_failures = false
store_wait = '1s'
";
    builder().toml(TEXT).build().unwrap();
    let written: toml::Table = TEXT.parse().unwrap();
    let schema = builder().json_schema();
    for section in ["http", "engine"] {
        let known = &schema["properties"][section]["properties"];
        let known = known.as_object().unwrap().keys();
        // Certificates have a test of their own.
        let known: BTreeSet<_> = known.filter(|key| *key != "extra_ca").collect();
        let written = written[section].as_table().unwrap();
        assert_eq!(written.keys().collect::<BTreeSet<_>>(), known);
    }
}

/// Each is a number or a duration other than its default.
#[test]
fn every_key_of_the_engine_sets_what_it_is_named_after() {
    let settings = |text: &str| {
        let biped = builder().toml(format!("[engine]\n{text}\n")).build();
        let shown = format!("{:?}", biped.unwrap().manager());
        let (_, fields) = shown.split_once("Settings { ").unwrap();
        let (fields, _) = fields.split_once(" }").unwrap();
        let fields = fields.split(", ").map(str::to_owned);
        fields.collect::<BTreeSet<_>>()
    };
    let default = settings("");
    for (key, value, shown) in [
        ("refresh_at", "0.5", "0.5"),
        ("margin", "'11s'", "11s"),
        ("max_wait", "'12s'", "12s"),
        ("concurrent_fetches", "13", "13"),
        ("fetches_per_minute", "14", "Some(14)"),
        ("max_keys", "15", "15"),
        ("idle", "'16s'", "16s"),
        ("share_failures", "false", "false"),
        ("store_wait", "'17s'", "17s"),
    ] {
        let changed = settings(&format!("{key} = {value}"));
        let changed: Vec<_> = changed.difference(&default).collect();
        assert_eq!(changed, [&format!("{key}: {shown}")]);
    }
}

#[test]
fn numbers_out_of_range_are_problems() {
    let wrong = [
        ("http", "timeout", "0"),
        ("http", "timeout", "-1"),
        ("http", "timeout", "nan"),
        ("http", "connect_timeout", "inf"),
        ("http", "ping_interval", "0"),
        ("http", "max_body", "0"),
        ("engine", "refresh_at", "0.9"),
        ("engine", "refresh_at", "nan"),
        ("engine", "max_wait", "'0s'"),
        ("engine", "concurrent_fetches", "0"),
        ("engine", "fetches_per_minute", "4294967296"),
        ("engine", "max_keys", "-3"),
        ("engine", "idle", "'3 weeks'"),
    ];
    for (section, key, value) in wrong {
        let found = problems(&format!("[{section}]\n{key} = {value}\n"));
        assert_one(
            &found,
            &format!("the configuration text:2: {section}.{key}: "),
            &["expected"],
        );
        assert_eq!(found.len(), 1, "{value}: {found:#?}");
    }
}

#[test]
fn certificates_are_read_beside_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.toml");
    fs::write(&path, "\n[http]\nextra_ca = ['file:ca.pem']\n").unwrap();
    let found = crate::lines(builder().file(&path).build());
    assert_one(
        &found,
        &format!("{}:3: http.extra_ca: ", path.display()),
        &["ca.pem"],
    );

    fs::write(dir.path().join("ca.pem"), "no certificate").unwrap();
    let found = crate::lines(builder().file(&path).build());
    assert_one(
        &found,
        &format!("{}:2: http: ", path.display()),
        &["certificate"],
    );

    let variable = format!("file:{}/none.pem", dir.path().display());
    let with = builder().environment([("BIPED_HTTP__EXTRA_CA", variable)]);
    assert_one(
        &crate::lines(with.build()),
        "BIPED_HTTP__EXTRA_CA: http.extra_ca: ",
        &["none.pem"],
    );
}

#[test]
fn a_proxy_that_is_no_url_is_a_problem_that_does_not_show_it() {
    let found = problems("[http]\nproxy = 'http://me:hunter2@[::'\n");
    assert_one(&found, "the configuration text:1: http: ", &["proxy"]);
    assert!(!found[0].contains("hunter2"));
    let found = problems("[http]\nproxy = { cmd = ['x'] }\n");
    assert_one(
        &found,
        "the configuration text:2: http.proxy: ",
        &["command"],
    );
}
