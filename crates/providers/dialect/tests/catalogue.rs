//! Every vendor of the catalogue loads, and its examples come out as they say.
#![cfg(feature = "catalogue")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, io::Write as _};

use biped_dialect::{Backing, Catalogue, VendorFile, check_text};
use serde_json::{Map, Value, json};
use toml::de::{DeTable, DeValue};

#[test]
fn every_file_of_the_directory_is_in_the_catalogue_and_in_order() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/vendors");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".toml").expect("only TOML").to_owned())
        .collect();
    files.sort();
    let names: Vec<_> = Catalogue::built_in()
        .entries()
        .map(|entry| entry.name().to_owned())
        .collect();
    assert_eq!(names, files);
}

#[test]
fn the_index_says_what_the_files_say() {
    for entry in Catalogue::built_in().entries() {
        let name = entry.name();
        let dialect = entry.dialect().expect(name);
        let about = dialect.about().expect(name);
        assert_eq!(entry.title(), about.title(), "{name}");
        assert_eq!(entry.variant(), about.variant(), "{name}");
        assert_eq!(entry.token_endpoint(), dialect.url(), "{name}");
        assert_eq!(entry.backing(), about.backing(), "{name}");
        let words = about.aliases().chain(about.tags());
        let words = words.chain([about.title(), name]).chain(about.variant());
        for word in words {
            let mut found = Catalogue::built_in().search(word);
            assert!(found.any(|it| it.name() == name), "{name}: {word}");
        }
    }
}

#[test]
fn every_vendor_loads_and_its_examples_come_out() {
    let mut failed = Vec::new();
    for entry in Catalogue::built_in().entries() {
        let report = check_text(entry.text(), entry.name());
        for problem in report.problems() {
            failed.push(problem.to_string());
        }
        for difference in report.differences() {
            failed.push(format!("{}: {difference}", entry.name()));
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

#[test]
fn every_vendor_shows_a_token_and_its_tags() {
    for entry in Catalogue::built_in().entries() {
        let name = entry.name();
        let report = check_text(entry.text(), name);
        // How long a session lasts without use is set where it is known.
        let mut advice = report.advice().iter();
        let other = advice.find(|advice| !advice.contains("set idle"));
        assert_eq!(other, None, "{name}");
        let dialect = entry.dialect().expect(name);
        let examples = dialect.examples();
        assert!(
            examples.iter().any(|example| !example.is_refusal()),
            "{name}"
        );
        let about = dialect.about().expect(name);
        assert!(about.docs().starts_with("https://"), "{name}");
        assert!(about.checked().is_some(), "{name}");
        assert!(about.tags().len() > 0, "{name}");
        assert!(
            !about.is_live(),
            "{name}: it has not been tried with the vendor"
        );
    }
}

#[test]
fn the_entry_to_start_from_names_everything_that_is_needed() {
    for entry in Catalogue::built_in().entries() {
        let configuration = entry.configuration();
        let (table, errors) = DeTable::parse_recoverable(&configuration);
        assert!(errors.is_empty(), "{configuration}");
        let root = table_json(table.get_ref());
        let provider = &root["providers"][entry.name()];
        let dialect = entry.dialect().unwrap();
        assert_eq!(provider["vendor"], entry.name());
        for variable in configuration.split("\"env:").skip(1) {
            assert!(!variable.starts_with(|c: char| c.is_ascii_digit()));
        }
        assert_eq!(
            provider.get("client_id").is_some(),
            dialect.uses_client_id()
        );
        for param in dialect.params().filter(|param| !param.is_optional()) {
            assert!(
                provider["params"].get(param.name()).is_some(),
                "{configuration}"
            );
        }
    }
}

#[test]
fn an_entry_to_start_from_names_one_resource_of_entra_id() {
    let entry = Catalogue::built_in().get("entra-id").unwrap();
    let configuration = entry.configuration();
    let mut lines = configuration.lines();
    let scope = lines.find(|line| line.starts_with("# scope = ")).unwrap();
    let value = scope.split('"').nth(1).unwrap();
    assert_eq!(value, "https://graph.microsoft.com/.default");
}

#[test]
fn vendors_are_found_by_name_title_and_what_they_are_for() {
    let catalogue = Catalogue::built_in();
    let found = |words: &str| -> Vec<_> { catalogue.search(words).map(VendorFile::name).collect() };
    assert_eq!(found("KEYCLOAK identity"), ["keycloak"]);
    // The words in the paths of addresses say nothing of the vendor.
    assert!(!found("identity").contains(&"ebay"));
    let microsoft = [
        "entra-id",
        "microsoft-azure",
        "microsoft-dataverse",
        "microsoft-graph",
        "microsoft-power-bi",
    ];
    assert_eq!(found("microsoftonline.com"), microsoft);
    assert_eq!(found("dynamics"), ["entra-id", "microsoft-dataverse"]);
    assert_eq!(found("no such vendor anywhere"), Vec::<&str>::new());
    assert_eq!(found("").len(), catalogue.entries().len());
}

#[test]
fn a_name_that_is_not_in_the_catalogue_has_candidates() {
    let catalogue = Catalogue::built_in();
    assert_eq!(catalogue.candidates("keyclock"), ["keycloak"]);
    assert_eq!(
        catalogue.candidates("azure"),
        ["entra-id", "microsoft-azure"]
    );
    assert!(catalogue.candidates("no such vendor anywhere").is_empty());
    // A word that says nothing suggests nothing.
    assert!(catalogue.candidates("").is_empty() && catalogue.candidates(" -").is_empty());
    let suggestion = |typed| catalogue.suggestion(typed).unwrap_or_default();
    assert!(suggestion("keyclock").ends_with("keycloak?"));
    assert!(suggestion("azure").ends_with("one of entra-id, microsoft-azure?"));
    let many = suggestion("security");
    assert_eq!(many.matches(", ").count(), 8, "{many}");
    assert!(many.ends_with(", …?"), "{many}");
    assert_eq!(suggestion("no such vendor anywhere"), "");
}

/// Whether a file is of a class.
type Has = fn(&Value) -> bool;

/// The ways in which vendors differ from RFC 6749, and how a file tells.
const CLASSES: &[(&str, Has)] = &[
    ("tenant, region or host in the url", |d| {
        text(d, "/url").contains("{")
    }),
    ("no grant_type", |d| d["grant_type"] == false),
    ("other grant_type", |d| {
        !text(d, "/grant_type").is_empty() || d["jwt"]["use"] == "grant"
    }),
    ("password grant", |d| text(d, "/grant_type") == "password"),
    ("json body", |d| d["encoding"] == "json"),
    ("nested json body", |d| {
        d["encoding"] == "json" && keys(&d["fields"]).any(|key| key.starts_with('/'))
    }),
    ("text body", |d| d["encoding"] == "text"),
    ("no body", |d| d["encoding"] == "none"),
    ("parameters in the query", |d| {
        d["encoding"] == "query" || !d["query"].is_null()
    }),
    ("method is not POST", |d| !d["method"].is_null()),
    ("non-string body values", |d| {
        values(&d["fields"]).any(|value| !value.is_string())
    }),
    ("client credentials in Basic", |d| d["auth"] == "basic"),
    ("unusual Basic", |d| !d["basic"].is_null()),
    ("credentials under other names", |d| {
        d["auth"] == "none" && d["fields"].is_object()
    }),
    ("credentials in a custom header or scheme", |d| {
        d["auth"] == "none" && d["headers"].is_object()
    }),
    ("extra parameters", |d| {
        d["fields"].is_object() && d["auth"] != "none"
    }),
    ("extra request headers", |d| d["headers"].is_object()),
    ("fresh uuid or time in a request", |d| {
        d["headers"].to_string().contains("{uuid") || d.to_string().contains("{now")
    }),
    ("signed JWT", |d| d["auth"] == "jwt"),
    ("client certificate", |d| d["client_certificate"] == true),
    ("scope separator not a space", |d| {
        !d["scope_separator"].is_null()
    }),
    ("default scopes", |d| !d["scopes"].is_null()),
    ("token under another name", |d| {
        text(d, "/response/token").starts_with('/')
    }),
    ("token wrapped in an object or array", |d| {
        text(d, "/response/token").matches('/').count() > 1
    }),
    ("token in a response header", |d| {
        text(d, "/response/token").starts_with("header:")
    }),
    ("whole body is the token", |d| {
        d["response"]["token"] == ""
            || (d["response"]["format"] == "text" && d["response"]["token"].is_null())
    }),
    ("expiry under another name", |d| {
        !d["response"]["expires"]["at"].is_null()
    }),
    ("expiry is an absolute time", |d| {
        ["unix", "unix_millis", "rfc3339", "date"].contains(&text(d, "/response/expires/as"))
            || expires_as(d, "local")
    }),
    ("expiry in milliseconds", |d| {
        expires_as(d, "millis") || expires_as(d, "unix_millis")
    }),
    ("expiry in local time", |d| expires_as(d, "local")),
    ("expiry is a duration text", |d| expires_as(d, "duration")),
    ("expiry only inside the JWT", |d| expires_as(d, "jwt")),
    ("no expiry: fixed lifetime", |d| {
        d["response"]["lifetime"].is_number()
    }),
    ("no expiry: until rejected", |d| {
        d["response"]["lifetime"] == false
    }),
    ("api base url from the response", |d| {
        !d["response"]["base_url"].is_null()
    }),
    ("values exported", |d| !d["response"]["export"].is_null()),
    ("success flag or code in the body", |d| {
        !d["response"]["ok"].is_null()
    }),
    ("error code under another name", |d| {
        !d["response"]["error"].is_null()
    }),
    ("more than one request", |d| !d["then"].is_null()),
    ("token in a custom header", |d| {
        keys(&d["attach"]["headers"]).any(|name| name != "Authorization")
    }),
    ("raw or other Authorization scheme", |d| {
        let value = text(d, "/attach/headers/Authorization");
        !value.is_empty() && value != "Bearer {token}"
    }),
    ("token in the query", |d| !d["attach"]["query"].is_null()),
    ("expired token told by the body", |d| {
        d["expired"].to_string().contains("any_of")
    }),
];

#[test]
fn every_class_of_quirk_is_in_the_catalogue() {
    let files: Vec<_> = Catalogue::built_in()
        .entries()
        .map(|entry| {
            let (table, _) = DeTable::parse_recoverable(entry.text());
            (entry.name(), table_json(table.get_ref()))
        })
        .collect();
    let mut table = String::new();
    let mut missing = Vec::new();
    for (class, has) in CLASSES {
        let vendors: Vec<_> = files
            .iter()
            .filter(|(_, dialect)| has(dialect))
            .map(|(name, _)| *name)
            .collect();
        table += &format!("{:4}  {class}: {}\n", vendors.len(), vendors.join(", "));
        if vendors.is_empty() {
            missing.push(*class);
        }
    }
    show(&format!("{} vendors\n{table}", files.len()));
    assert!(files.len() >= 50);
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn every_vendor_is_counted_by_how_it_is_sourced() {
    let mut backed: BTreeMap<Backing, Vec<&str>> = BTreeMap::new();
    let mut missing: BTreeMap<String, usize> = BTreeMap::new();
    for entry in Catalogue::built_in().entries() {
        let name = entry.name();
        backed.entry(entry.backing()).or_default().push(name);
        let dialect = entry.dialect().expect(name);
        let about = dialect.about().expect(name);
        for fact in about.unverified() {
            *missing.entry(fact.to_owned()).or_default() += 1;
        }
    }
    let mut table = String::from("Vendors by what backs the request and the answer:\n");
    let all = [
        Backing::Live,
        Backing::Own,
        Backing::Others,
        Backing::Unverified,
    ];
    let mut counted = 0;
    for backing in all {
        let names = backed.remove(&backing).unwrap_or_default();
        counted += names.len();
        let (word, count) = (backing.as_str(), names.len());
        table += &format!("{count:4}  {word}: {}\n", names.join(", "));
    }
    table += "Facts that no source says, in how many files:\n";
    for (fact, count) in &missing {
        table += &format!("{count:4}  {fact}\n");
    }
    show(&table);
    assert_eq!(counted, Catalogue::built_in().entries().len());
    // A file says what it rests on; most rest on the vendor's own words.
    let of_file = |name| Catalogue::built_in().get(name).map(VendorFile::backing);
    assert_eq!(of_file("spotify"), Some(Backing::Own));
    assert_eq!(of_file("personio"), Some(Backing::Others));
    assert_eq!(of_file("odoo"), Some(Backing::Unverified));
}

/// Prints a table that `cargo test` shows, because it does not go through `println!`.
fn show(table: &str) {
    std::io::stderr().write_all(table.as_bytes()).unwrap();
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn expires_as(dialect: &Value, start: &str) -> bool {
    let written = text(dialect, "/response/expires/as");
    written == start || (start == "local" && written.starts_with("local"))
}

fn keys(value: &Value) -> impl Iterator<Item = &str> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
}

fn values(value: &Value) -> impl Iterator<Item = &Value> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, value)| value)
}

fn table_json(table: &DeTable<'_>) -> Value {
    let entries: BTreeMap<_, _> = table
        .iter()
        .map(|(key, value)| (key.get_ref().to_string(), to_json(value.get_ref())))
        .collect();
    Value::Object(entries.into_iter().collect::<Map<_, _>>())
}

fn to_json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(number) => json!(number.as_str().parse::<i64>().unwrap()),
        DeValue::Float(number) => json!(number.as_str().parse::<f64>().unwrap()),
        DeValue::Boolean(yes) => json!(yes),
        DeValue::Datetime(date) => json!(date.to_string()),
        DeValue::Array(all) => all.iter().map(|value| to_json(value.get_ref())).collect(),
        DeValue::Table(table) => table_json(table),
    }
}
