//! Files: lines, several problems at once, what an author probably meant.

use std::{fs, path::Path};

use biped::Biped;

use crate::{assert_one, builder, lines, problems};

#[test]
fn an_unknown_key_is_told_with_its_line_and_the_key_that_is_meant() {
    let text = "
[providers.my-shop]
kind = 'acme'
client_secret = 's'
regoin = 'eu'
";
    let found = problems(text);
    assert_one(
        &found,
        "the configuration text:5: providers.my-shop.regoin: ",
        &["unknown key", "region"],
    );
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn a_misspelled_key_is_one_problem_though_the_key_is_missing() {
    let text = |table: &str| format!("[store]\nkind = 'memory'\n{table}");
    for (table, key, meant) in [
        (
            "[providers.a]\nkind = 'acme'\nclient_secrte = 's'\n",
            "providers.a.client_secrte",
            "client_secret",
        ),
        (
            "[providers.a]\nkidn = 'acme'\nclient_secret = 's'\n",
            "providers.a.kidn",
            "kind",
        ),
    ] {
        let found = problems(&text(table));
        let words = format!("did you mean {meant}?");
        assert_one(&found, "the configuration text:", &[key, &words]);
        assert_eq!(found.len(), 1, "{found:?}");
    }
    let found = problems("[store]\npath = '/x'\nknid = 'file'\n");
    assert_one(
        &found,
        "the configuration text:3: store.knid: ",
        &["did you mean kind?"],
    );
    assert_eq!(found.len(), 1, "{found:?}");

    // A key of some kind stands for itself.
    #[cfg(feature = "oauth2")]
    {
        let found = problems("[providers.a]\nkid = 'x'\nclient_secret = 's'\n");
        assert_one(&found, "the configuration text:1: providers.a.kind: ", &[]);
    }
    // What is missing all the same is told.
    let found = problems("[providers.a]\nkind = 'acme'\nclient_secretes = 's'\nregoin = 'eu'\n");
    assert_eq!(found.len(), 2, "{found:?}");
    let found = problems("[providers.a]\nkind = 'acme'\nregoin = 'eu'\n");
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn case_and_dashes_make_no_key_another_one() {
    let head = "[providers.a]\nkind = 'acme'\nclient_secret = 's'\n";
    for key in ["REGION", "Project_Id", "project-id", "projectId"] {
        assert_one(
            &problems(&format!("{head}{key} = 1\n")),
            "the configuration text:4: ",
            &[key, "did you mean "],
        );
    }
}

#[test]
fn a_provider_outside_its_table_is_told_where_it_belongs() {
    assert_one(
        &problems("[shop]\nkind = 'acme'\nclient_secret = 's'\n"),
        "the configuration text:1: shop: ",
        &["[providers.shop]"],
    );
}

#[test]
fn a_number_that_is_none_is_told_once() {
    let found = problems("[providers.a]\nkind = 'acme'\nproject_id = 042\n");
    assert_one(&found, "the configuration text:3: ", &["zero"]);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn of_the_problems_of_one_value_the_first_is_told() {
    let text = "[engine]\nmargin = 99999999999999999999\n";
    assert_eq!(problems(text).len(), 1, "{:?}", problems(text));
}

#[test]
fn all_problems_of_all_sections_are_told_together_in_their_order() {
    let text = "
[providers.a]
kind = 'acme'
regoin = 's'
project_id = '42'

[providers.b]
kind = 'acmee'

[providers.c]
client_secret = 's'

[http]
timeout = 'soon'
tiemout = 3

[engine]
refresh_at = 2

[store]
kind = 7

[serv]
port = 1
";
    let found = problems(text);
    assert_one(
        &found,
        "the configuration text:2: providers.a.client_secret: ",
        &["missing"],
    );
    assert_one(
        &found,
        "the configuration text:4: providers.a.regoin: ",
        &["region"],
    );
    assert_one(
        &found,
        "the configuration text:5: providers.a.project_id: ",
        &["whole number"],
    );
    assert_one(
        &found,
        "the configuration text:8: providers.b.kind: ",
        &["acme", "contentsquare"],
    );
    assert_one(
        &found,
        "the configuration text:10: providers.c.kind: ",
        &["missing"],
    );
    assert_one(
        &found,
        "the configuration text:14: http.timeout: ",
        &["30s"],
    );
    assert_one(
        &found,
        "the configuration text:15: http.tiemout: ",
        &["timeout"],
    );
    assert_one(
        &found,
        "the configuration text:18: engine.refresh_at: ",
        &["0.1", "0.85"],
    );
    assert_one(
        &found,
        "the configuration text:21: store.kind: ",
        &["string"],
    );
    assert_one(&found, "the configuration text:23: serv: ", &["unknown"]);
    assert_eq!(found.len(), 10, "{found:#?}");
    let numbers: Vec<usize> = found
        .iter()
        .map(|line| line.split(':').nth(1).unwrap().parse().unwrap())
        .collect();
    assert!(numbers.is_sorted(), "{found:#?}");
}

#[test]
fn every_type_is_checked() {
    let wrong = [
        ("region", "1"),
        ("project_id", "1.5"),
        ("sandbox", "'yes'"),
        ("created", "'spring'"),
        ("tags", "[1]"),
        ("plan", "'medium'"),
        ("patience", "'forever'"),
        ("share", "'half'"),
        ("headers", "[]"),
        ("params", "'x'"),
        ("client_id", "1"),
        ("client_id", "[]"),
        ("client_id", "{ cmd = [] }"),
        ("client_id", "{ command = ['x'] }"),
        ("client_id", "'env:'"),
        ("scope", "{}"),
        ("token_endpoint", "'http://acme.example/token'"),
        ("api_base_url", "'https://me:pw@acme.example'"),
    ];
    for (key, value) in wrong {
        let text = format!("[providers.a]\nkind = 'acme'\nclient_secret = 's'\n{key} = {value}\n");
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{key} = {value}: {found:#?}");
        assert_one(
            &found,
            &format!("the configuration text:4: providers.a.{key}: "),
            &["expected"],
        );
    }
}

#[test]
fn what_fits_is_taken() {
    let text = "
[providers.a]
kind = 'acme'
client_id = ['x', 'env:Y', { cmd = ['z'] }]
client_secret = { cmd = ['pass', 'show'] }
scope = 'a b'
region = 'eu'
project_id = 42
sandbox = true
created = 2026-03-01
tags = 'one'
plan = 'large'
patience = '1.5h'
share = 1
headers = { a = 'b' }
params = { region = 'eu', key = 'env:KEY' }
extra = [1, { a = 2 }]
token_endpoint = 'http://127.0.0.1:7600/token'
api_base_url = 'https://api.acme.example'
";
    builder().toml(text).build().unwrap();
}

#[test]
fn syntax_errors_are_told_together_with_their_lines() {
    let found = problems(
        "[providers.a]\nkind = \nclient_id = 'x'\nclient_secret = abc\nx = 1 = 2\n[http\n",
    );
    for (place, words) in [
        ("2: column 8: ", "expected a value"),
        ("4: column 17: ", "quoted"),
        ("5: column 7: ", ""),
        ("6: column 6: ", "]"),
    ] {
        assert_one(&found, &format!("the configuration text:{place}"), &[words]);
    }
    assert_eq!(found.len(), 4, "{found:#?}");
}

#[test]
fn duplicate_keys_are_told_beside_everything_else() {
    let text = "
[providers.a]
kind = 'acme'
client_secret = 's'
client_secret = 't'
regoin = 'eu'
";
    let found = problems(text);
    assert_one(
        &found,
        "the configuration text:5: ",
        &["duplicate", "client_secret"],
    );
    assert_one(
        &found,
        "the configuration text:6: providers.a.regoin: ",
        &["region"],
    );
    assert_eq!(found.len(), 2, "{found:#?}");
}

#[test]
fn numbers_too_large_are_problems() {
    let text =
        "providers.a = { kind = 'acme', client_secret = 's', project_id = 9223372036854775808 }";
    let found = problems(text);
    assert_one(
        &found,
        "the configuration text:1: providers.a.project_id: ",
        &[],
    );
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn a_section_that_is_no_table_is_a_problem() {
    let found = problems("providers = 1\nhttp = 'x'\nstore = []\nengine = true\n");
    for (line, section) in ["providers", "http", "store", "engine"].iter().enumerate() {
        assert_one(
            &found,
            &format!("the configuration text:{}: {section}: ", line + 1),
            &["table"],
        );
    }
    assert_eq!(found.len(), 4, "{found:#?}");
    assert_one(
        &problems("[providers]\na = 1\n"),
        "the configuration text:2: providers.a: ",
        &["table"],
    );
}

#[test]
#[cfg(not(feature = "dialect"))]
fn a_kind_whose_feature_is_off_names_the_feature() {
    let found = problems("[providers.crm]\nkind = 'dialect'\nvendor = 'x'\n");
    assert_one(
        &found,
        "the configuration text:2: providers.crm.kind: ",
        &["feature", "dialect"],
    );
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn an_unknown_kind_is_answered_with_the_known_ones_and_the_nearest() {
    let found = problems("[providers.crm]\nkind = 'contentsquar'\n");
    assert_one(
        &found,
        "the configuration text:2: providers.crm.kind: ",
        &["acme", "envelope", "did you mean contentsquare"],
    );
}

#[test]
fn a_file_is_read_by_its_name_and_secrets_are_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vendors.toml");
    fs::write(dir.path().join("id"), "client-7\n").unwrap();
    fs::write(
        &path,
        "[providers.a]\nkind = 'acme'\nclient_id = 'file:id'\nclient_secret = 's'\n",
    )
    .unwrap();
    let biped = builder().file(&path).build().unwrap();
    assert_eq!(
        biped.provider("a").unwrap().provider().id().client(),
        "client-7"
    );

    fs::write(&path, "[providers.a]\nkind = 'acme'\n").unwrap();
    let found = lines(builder().file(&path).build());
    assert_one(
        &found,
        &format!("{}:1: providers.a.client_secret: ", path.display()),
        &[],
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let found = lines(Biped::from_file("/nowhere/biped.toml"));
    assert_one(&found, "/nowhere/biped.toml ", &[]);
}

#[test]
fn a_file_that_is_not_utf_8_is_told_with_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.toml");
    fs::write(&path, b"[http]\n# caf\xe9\n").unwrap();
    assert_one(
        &lines(builder().file(&path).build()),
        &format!("{}:2: ", path.display()),
        &["UTF-8"],
    );
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_or_too_large_is_no_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let large = dir.path().join("large.toml");
    fs::write(&large, " ".repeat(1024 * 1024 + 1)).unwrap();
    let pipe = dir.path().join("pipe.toml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for (path, word) in [
        (large.as_path(), "1048576 bytes"),
        (&pipe, "pipe"),
        (Path::new("/dev/zero"), "device"),
        (dir.path(), "directory"),
    ] {
        let error = builder().file(path).build().unwrap_err().to_string();
        let place = path.display().to_string();
        assert!(error.contains(word) && error.contains(&place), "{error}");
    }
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_fine() {
    let text = "\u{feff}[providers.a]\r\nkind = 'acme'\r\nclient_secret = 's'\r\nx = 1\r\n";
    assert_one(
        &problems(text),
        "the configuration text:4: providers.a.x: ",
        &[],
    );
}

#[test]
fn later_files_go_ahead_of_earlier_ones_key_by_key() {
    let biped = builder()
        .toml("[providers.a]\nkind = 'acme'\nclient_secret = 's'\nregion = 'eu'\ntags = ['a']\n")
        .toml("[providers.a]\nregion = 'us'\ntags = ['b', 'c']\n")
        .build()
        .unwrap();
    let shown: Vec<_> = biped.config().iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "providers.a.client_secret = [redacted]  # the configuration text:3",
            "providers.a.kind = \"acme\"  # the configuration text:2",
            "providers.a.region = \"us\"  # the configuration text:2",
            "providers.a.tags = [\"b\", \"c\"]  # the configuration text:3",
        ]
    );
}
