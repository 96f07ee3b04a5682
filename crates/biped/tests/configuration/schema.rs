//! The JSON Schema says what the reader says.

use biped::Biped;
use serde_json::{Value, json};

use crate::builder;

#[test]
fn the_schema_and_the_documentation_know_every_key_of_the_sections() {
    let schema = Biped::builder().json_schema();
    let documentation = include_str!("../../src/config/sections.md");
    let mut sections = vec!["store", "http", "engine"];
    if cfg!(feature = "vault") {
        sections.push("vault");
    }
    for section in sections {
        let properties = schema["properties"][section]["properties"]
            .as_object()
            .unwrap();
        assert!(!properties.is_empty());
        for (key, value) in properties {
            assert!(value["description"].is_string(), "{section}.{key}");
            assert!(
                documentation.contains(&format!("| `{section}.{key}` |")),
                "{section}.{key}"
            );
        }
    }
}

#[test]
fn schema_and_reader_agree() {
    let schema = builder().json_schema();
    let head = "[providers.a]\nkind = 'acme'\n";
    let secret = "client_secret = 's'\n";
    let cases = [
        ("", "", true),
        (head, secret, true),
        (head, "", false),
        ("[providers.a]\n", secret, false),
        ("[providers.a]\nkind = 'acmee'\n", secret, false),
        (head, "client_secret = { cmd = ['pass', 'x'] }\n", true),
        (head, "client_secret = ['a', { cmd = ['pass'] }]\n", true),
        (head, "client_secret = 1\n", false),
        (head, "client_secret = []\n", false),
        (head, "client_secret = { cmd = [] }\n", false),
        (head, "client_secret = { command = ['pass'] }\n", false),
        (
            head,
            "client_secret = 's'\nhttp = { proxy = 'none', timeout = 3 }\n",
            true,
        ),
        (head, "client_secret = 's'\nhttp = { prxy = 'x' }\n", false),
        (head, "client_secret = 's'\nregoin = 'eu'\n", false),
        (head, "client_secret = 's'\nproject_id = 1.5\n", false),
        (
            head,
            "client_secret = 's'\nproject_id = 1\nsandbox = true\nshare = 0.5\n",
            true,
        ),
        (head, "client_secret = 's'\nsandbox = 'yes'\n", false),
        (
            head,
            "client_secret = 's'\nscope = 'a b'\ntags = ['x']\n",
            true,
        ),
        (head, "client_secret = 's'\ntags = [1]\n", false),
        (
            head,
            "client_secret = 's'\nplan = 'small'\nheaders = { a = 'b' }\n",
            true,
        ),
        (head, "client_secret = 's'\nplan = 'medium'\n", false),
        (head, "client_secret = 's'\nheaders = 'a'\n", false),
        ("[http]\n", "timeout = 3\nconnect_timeout = '500ms'\n", true),
        ("[http]\n", "timeout = true\n", false),
        ("[http]\n", "tiemout = 3\n", false),
        ("[engine]\n", "max_keys = 7\nrefresh_at = 0.5\n", true),
        ("[engine]\n", "max_keys = '7'\n", false),
        ("[store]\n", "kind = 'memory'\n", true),
        ("[store]\n", "kind = 'memory'\nurl = 'redis://host'\n", true),
        ("[store]\n", "kind = 'memory'\nurl = 7\n", false),
        ("[store]\n", "kind = 'mysql'\n", false),
        ("[serv]\n", "x = 1\n", false),
    ];
    for (head, rest, right) in cases {
        let text = format!("{head}{rest}");
        let document: Value = toml::from_str(&text).unwrap();
        assert_eq!(
            fits(&document, &schema, &schema),
            right,
            "the schema on {text}"
        );
        let read = builder().http_client(std::sync::Arc::new(crate::vendor::NoNetwork));
        assert_eq!(
            read.toml(&text).build().is_ok(),
            right,
            "the reader on {text}"
        );
    }
}

#[test]
fn a_kind_without_declared_keys_takes_any() {
    let schema = builder()
        .register("open", crate::vendor::from_config)
        .json_schema();
    let document = |kind: &str| json!({ "providers": { "a": { "kind": kind, "any": 1 } } });
    assert!(fits(&document("open"), &schema, &schema));
    assert!(!fits(&document("acme"), &schema, &schema));
}

/// As much of JSON Schema as the schema uses, `pattern` and `format` aside.
fn fits(value: &Value, schema: &Value, root: &Value) -> bool {
    let Some(rules) = schema.as_object() else {
        return schema != false;
    };
    let all = |schemas: &Value| schemas.as_array().unwrap().clone();
    rules.iter().all(|(rule, what)| match &**rule {
        "type" => match what.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            other => panic!("a type {other}"),
        },
        "const" => value == what,
        "enum" => all(what).contains(value),
        "minimum" => value
            .as_f64()
            .is_none_or(|number| number >= what.as_f64().unwrap()),
        "minItems" => value
            .as_array()
            .is_none_or(|a| a.len() as u64 >= what.as_u64().unwrap()),
        "items" => value
            .as_array()
            .is_none_or(|a| a.iter().all(|item| fits(item, what, root))),
        "required" => value.as_object().is_none_or(|object| {
            all(what)
                .iter()
                .all(|key| object.contains_key(key.as_str().unwrap()))
        }),
        "properties" => value.as_object().is_none_or(|object| {
            let known = what.as_object().unwrap();
            object
                .iter()
                .all(|(key, v)| known.get(key).is_none_or(|rule| fits(v, rule, root)))
        }),
        "additionalProperties" => value.as_object().is_none_or(|object| {
            let known = &schema["properties"];
            object
                .iter()
                .all(|(key, v)| known.get(key).is_some() || fits(v, what, root))
        }),
        "anyOf" => all(what).iter().any(|schema| fits(value, schema, root)),
        "allOf" => all(what).iter().all(|schema| fits(value, schema, root)),
        "if" => !fits(value, what, root) || fits(value, &schema["then"], root),
        "$ref" => {
            let target = what.as_str().unwrap().strip_prefix('#').unwrap();
            fits(value, root.pointer(target).unwrap(), root)
        }
        "then" | "$schema" | "$defs" | "title" | "description" | "pattern" | "format" => true,
        other => panic!("a rule {other}"),
    })
}
