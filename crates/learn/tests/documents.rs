//! Twelve documents with what they mean: every fact that is learned is compared with what was
//! expected, by field and as it is on the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use biped_dialect::check_text;
use biped_learn::{Learned, Material, Written, learn};
use serde_json::{Map, Value, json};
use toml::de::{DeTable, DeValue};

/// How many documents have to come out whole; what is learned at all has to be right in every one.
const BAR: usize = 11;

#[test]
fn documents_mean_what_is_learned_from_them() {
    let mut whole = 0;
    let mut failed = Vec::new();
    let all = cases();
    assert_eq!(all.len(), 12);
    for folder in &all {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let found = match learned(folder) {
            Ok(learned) => differences(&learned, &expected(folder)),
            // To be silent is better than to guess.
            Err(silence) => {
                println!("{name}: {silence}");
                continue;
            }
        };
        whole += usize::from(found.is_empty());
        failed.extend(found.iter().map(|what| format!("{name}: {what}")));
    }
    println!("{whole} of {} documents", all.len());
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
    assert!(whole >= BAR, "{whole}");
}

#[test]
fn a_wrong_fact_is_noticed() {
    let folder = cases().remove(0);
    let learned = learned(&folder).unwrap();
    let right = expected(&folder);
    assert_eq!(differences(&learned, &right), Vec::<String>::new());
    for (key, wrong) in [
        ("url", json!("https://auth.kestrel.example/token")),
        ("method", json!("GET")),
        ("encoding", json!("json")),
        ("auth", json!("basic")),
        ("grant_type", json!("password")),
        ("fields", json!({ "client_id": "{client_id}" })),
        ("headers", json!(["X-More"])),
        ("scopes", json!(["orders.read"])),
        ("token", json!("/token")),
        ("expires", json!({ "at": "/expires", "as": "seconds" })),
        ("error", json!({ "code": "/code" })),
        ("attach", json!({ "headers": { "X-Token": "{token}" } })),
        ("api", json!("https://api.kestrel.example")),
        ("client_certificate", json!(true)),
        ("ok", json!({ "at": "/ok", "equals": true })),
        ("no_literals", json!(["kestrel"])),
    ] {
        let mut expected = right.clone();
        expected[key] = wrong;
        assert_ne!(
            differences(&learned, &expected),
            Vec::<String>::new(),
            "{key}"
        );
    }
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    all.sort();
    all
}

fn expected(folder: &Path) -> Value {
    let text = fs::read_to_string(folder.join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn learned(folder: &Path) -> Result<Learned, String> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let curl = read("token.sh").unwrap();
    let response = read("response.json").or_else(|| read("response.txt"));
    let (error, api) = (read("error.json"), read("api.sh"));
    let mut material = Material::new("acme", &curl);
    material.response = response.as_deref();
    material.error = error.as_deref();
    material.api = api.as_deref();
    material.docs = Some("https://docs.acme.example/auth");
    let learned = learn(&material).map_err(|refusal| format!("{refusal:?}"))?;
    if learned.written == Written::File {
        let report = check_text(&learned.text, "acme.toml");
        assert!(report.is_good(), "{report:?}\n{}", learned.text);
    }
    Ok(learned)
}

/// The fields in which what was learned differs from what was expected.
fn differences(learned: &Learned, expected: &Value) -> Vec<String> {
    let (table, errors) = DeTable::parse_recoverable(&learned.text);
    assert!(errors.is_empty(), "{}", learned.text);
    let file = table_json(table.get_ref());
    let meant = match learned.written {
        Written::File => Meant::of_file(&file),
        _ => Meant::of_entry(&file["providers"]["acme"]),
    };
    let mut found = Vec::new();
    let mut note = |key: &str, is_same: bool, actual: &dyn std::fmt::Debug| {
        if !is_same {
            let expected = expected.get(key).unwrap_or(&Value::Null);
            found.push(format!("{key}: expected {expected}, found {actual:?}"));
        }
    };
    let mut urls: Vec<_> = list(&expected["url_also"]).iter().map(any_name).collect();
    urls.push(any_name(expected["url"].as_str().unwrap()));
    note("url", urls.contains(&meant.url), &meant.url);
    note("method", expected["method"] == meant.method, &meant.method);
    // A request without fields is the same in every encoding, and so is one with a query.
    let encoding = &expected["encoding"];
    let is_same = *encoding == meant.encoding
        || (meant.fields.is_empty() && meant.grant_type.is_null() && encoding == "none");
    note("encoding", is_same, &meant.encoding);
    let auth = match &expected["auth"] {
        Value::Null => true,
        auth => *auth == meant.auth,
    };
    note("auth", auth, &meant.auth);
    note(
        "grant_type",
        expected["grant_type"] == meant.grant_type,
        &meant.grant_type,
    );
    note(
        "fields",
        templates(&expected["fields"]) == meant.fields,
        &meant.fields,
    );
    let optional = names(&expected["headers_optional"]);
    let must: BTreeSet<_> = &names(&expected["headers"]) - &optional;
    let may: BTreeSet<_> = &must | &optional;
    let sent: BTreeSet<_> = meant.headers.keys().cloned().collect();
    note(
        "headers",
        must.is_subset(&sent) && sent.is_subset(&may),
        &sent,
    );
    note(
        "scopes",
        list(&expected["scopes"]) == meant.scopes,
        &meant.scopes,
    );
    note("token", expected["token"] == meant.token, &meant.token);
    let format = expected["format"].as_str().unwrap_or("json");
    note("format", format == meant.format, &meant.format);
    let expires = match &expected["expires"] {
        Value::Null => default_expires(),
        expires => expires.clone(),
    };
    note("expires", expires == meant.expires, &meant.expires);
    let error = match &expected["error"] {
        Value::Null => true,
        error => *error == meant.error,
    };
    note("error", error, &meant.error);
    let is_optional = expected["ok_optional"] == true && meant.ok.is_null();
    note("ok", is_optional || expected["ok"] == meant.ok, &meant.ok);
    let attach = templates(&lower(&expected["attach"]["headers"]));
    note("attach", attach == meant.attach, &meant.attach);
    let api = match expected["api"].as_str() {
        None => true,
        Some(api) => Some(any_name(api)) == meant.api,
    };
    note("api", api, &meant.api);
    let certificate = expected["client_certificate"] == true;
    note(
        "client_certificate",
        certificate == meant.client_certificate,
        &meant.client_certificate,
    );
    for name in list(&expected["secrets"]) {
        let is_hidden = meant.secrets.contains(&name.to_lowercase());
        note("secrets", is_hidden, &meant.secrets);
    }
    for sample in list(&expected["no_literals"]) {
        note("no_literals", !learned.text.contains(&sample), &sample);
    }
    // `status` and `error_status` are not compared: no document shows them.
    found
}

/// What a file or an entry means.
struct Meant {
    url: String,
    method: String,
    encoding: String,
    auth: String,
    grant_type: Value,
    fields: BTreeMap<String, Value>,
    headers: BTreeMap<String, Value>,
    scopes: Vec<String>,
    token: String,
    format: String,
    expires: Value,
    error: Value,
    ok: Value,
    attach: BTreeMap<String, Value>,
    api: Option<String>,
    client_certificate: bool,
    /// The fields and headers with a secret in them, in lower case.
    secrets: BTreeSet<String>,
}

impl Meant {
    fn of_file(file: &Value) -> Self {
        let text = |key: &str, default: &str| file[key].as_str().unwrap_or(default).to_owned();
        let url = text("url", "");
        let (url, query) = url.split_once('?').unwrap_or((&url, ""));
        let mut encoding = text("encoding", "form");
        let mut given = file["fields"].as_object().cloned().unwrap_or_default();
        let further = file["query"].as_object().cloned().unwrap_or_default();
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let pairs: Map<_, _> = pairs.map(|(k, v)| (k.to_owned(), json!(v))).collect();
        if given.is_empty() && !(further.is_empty() && pairs.is_empty()) {
            "query".clone_into(&mut encoding);
        }
        given.extend(further.into_iter().chain(pairs));
        let auth = text("auth", "body");
        if auth == "body" && encoding != "none" {
            for name in ["client_id", "client_secret"] {
                let own = || json!(format!("{{{name}}}"));
                given.entry(name).or_insert_with(own);
            }
        }
        let headers = lower(&file["headers"]);
        let is_secret = |value: &Value| {
            let text = value.as_str().unwrap_or_default();
            let mut names = text
                .split('{')
                .skip(1)
                .filter_map(|rest| rest.split(['}', '|']).next());
            names.any(|name| {
                name == "client_secret" || file["about"]["params"][name]["secret"] == true
            })
        };
        let all = given
            .iter()
            .chain(headers.as_object().into_iter().flatten());
        let hidden = all.filter(|(_, value)| is_secret(value));
        let secrets = hidden.map(|(name, _)| name.to_lowercase()).collect();
        let response = &file["response"];
        let or = |value: &Value, default: Value| match value {
            Value::Null => default,
            value => value.clone(),
        };
        let format = response["format"].as_str().unwrap_or("json");
        let usual = if format == "text" {
            ""
        } else {
            "/access_token"
        };
        let grant_type = match &file["grant_type"] {
            Value::Null => json!("client_credentials"),
            Value::Bool(false) => Value::Null,
            other => other.clone(),
        };
        let attach = match &file["attach"]["headers"] {
            Value::Null => json!({ "authorization": "Bearer {token}" }),
            headers => lower(headers),
        };
        Self {
            url: any_name(url),
            method: text("method", "POST"),
            encoding,
            auth,
            grant_type,
            fields: templates(&Value::Object(given)),
            headers: templates(&headers),
            scopes: list(&file["scopes"]),
            token: response["token"].as_str().unwrap_or(usual).to_owned(),
            format: format.to_owned(),
            expires: or(&response["expires"], default_expires()),
            error: or(&response["error"], default_error()),
            ok: response["ok"].clone(),
            attach: templates(&attach),
            api: file["about"]["api"].as_str().map(any_name),
            client_certificate: file["client_certificate"] == true,
            secrets,
        }
    }

    /// An entry of the kind `oauth2` is RFC 6749 to the letter.
    fn of_entry(entry: &Value) -> Self {
        assert_eq!(entry["kind"], "oauth2");
        let is_basic = entry["client_authentication"] == "client_secret_basic";
        let credentials = json!({ "client_id": "{client_id}", "client_secret": "{client_secret}" });
        let fields = match is_basic {
            true => BTreeMap::new(),
            false => templates(&credentials),
        };
        let scope = entry["scope"].as_str().unwrap_or_default();
        Self {
            url: any_name(entry["token_endpoint"].as_str().unwrap()),
            method: "POST".to_owned(),
            encoding: "form".to_owned(),
            auth: if is_basic { "basic" } else { "body" }.to_owned(),
            grant_type: json!("client_credentials"),
            secrets: fields
                .keys()
                .filter(|name| *name == "client_secret")
                .cloned()
                .collect(),
            fields,
            headers: BTreeMap::new(),
            scopes: scope.split_whitespace().map(str::to_owned).collect(),
            token: "/access_token".to_owned(),
            format: "json".to_owned(),
            expires: default_expires(),
            error: default_error(),
            ok: Value::Null,
            attach: templates(&json!({ "authorization": "Bearer {token}" })),
            api: entry["api_base_url"].as_str().map(any_name),
            client_certificate: entry["certificate"].is_string(),
        }
    }
}

fn default_expires() -> Value {
    json!({ "at": "/expires_in", "as": "seconds" })
}

fn default_error() -> Value {
    json!({ "code": "/error", "message": "/error_description" })
}

/// The text with every parameter under the same name, except the token.
fn any_name(text: impl AsRef<str>) -> String {
    let mut parts = text.as_ref().split('{');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap_or((part, ""));
        out.push_str(if name == "token" { "{token}" } else { "{}" });
        out.push_str(rest);
    }
    out
}

fn templates(table: &Value) -> BTreeMap<String, Value> {
    let entries = table.as_object().into_iter().flatten();
    entries
        .map(|(name, value)| {
            let value = value
                .as_str()
                .map_or_else(|| value.clone(), |text| json!(any_name(text)));
            (name.clone(), value)
        })
        .collect()
}

fn lower(table: &Value) -> Value {
    let entries = table.as_object().into_iter().flatten();
    entries
        .map(|(name, value)| (name.to_lowercase(), value.clone()))
        .collect::<Map<_, _>>()
        .into()
}

fn list(value: &Value) -> Vec<String> {
    let all = value.as_array().into_iter().flatten();
    all.filter_map(|it| Some(it.as_str()?.to_owned())).collect()
}

fn names(value: &Value) -> BTreeSet<String> {
    list(value).iter().map(|name| name.to_lowercase()).collect()
}

fn table_json(table: &DeTable<'_>) -> Value {
    let entries = table.iter();
    entries
        .map(|(key, value)| (key.get_ref().to_string(), to_json(value.get_ref())))
        .collect::<Map<_, _>>()
        .into()
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
