//! The JSON Schema of biped.toml, for editors.

use biped_config::{Field, FieldType, Members, ProviderKind};
use serde_json::{Map, Value, json};

use super::http;
use crate::registry::{Registry, STORE_ABOUT};

/// Returns the JSON Schema (draft 2020-12) of a biped.toml with these kinds of provider and the built-in
/// stores and sections. [`Builder::json_schema`](crate::Builder::json_schema) includes what is
/// registered.
///
/// Editors use it to complete and to check. It is made of the same declarations as the reader.
///
/// ```
/// # let acme = biped::provider::ProviderKind::new("acme", |_| Err(biped::Error::internal("an example")));
/// let schema = biped::config::json_schema([&acme]);
/// assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
/// ```
#[must_use]
pub fn json_schema<'k>(kinds: impl IntoIterator<Item = &'k ProviderKind>) -> Value {
    of(kinds, &Registry::built_in())
}

/// The schema with the stores and sections of a registry.
pub(crate) fn of<'k>(
    kinds: impl IntoIterator<Item = &'k ProviderKind>,
    registry: &Registry,
) -> Value {
    let kinds: Vec<_> = kinds.into_iter().collect();
    let mut sections = Map::new();
    sections.insert("providers".into(), providers(&kinds));
    for section in registry.sections() {
        let mut schema = table(section.fields(), true);
        schema["description"] = json!(section.description());
        sections.insert(section.name().into(), schema);
    }
    sections.insert("store".into(), store(registry));
    let mut definitions = Map::new();
    definitions.insert("secret".into(), secret());
    if let Some(section) = registry.sections().find(|it| it.name() == http::NAME) {
        definitions.insert(http::NAME.into(), table(section.fields(), true));
    }
    for kind in &kinds {
        definitions.insert(definition(kind), provider(kind));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "biped.toml",
        "description": "The configuration of Biped, two-legged OAuth for Rust.",
        "type": "object",
        "properties": sections,
        "additionalProperties": false,
        "$defs": definitions,
    })
}

fn store(registry: &Registry) -> Value {
    let mut schema = table(registry.store_fields(), true);
    schema["description"] = json!(STORE_ABOUT);
    schema["properties"]["kind"]["enum"] = json!(registry.store_names().collect::<Vec<_>>());
    if let Some(schema) = schema.as_object_mut() {
        // A key that one kind requires is optional for the others.
        schema.remove("required");
    }
    schema
}

fn definition(kind: &ProviderKind) -> String {
    format!("kind-{}", kind.name())
}

fn providers(kinds: &[&ProviderKind]) -> Value {
    let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
    let of_kind = kinds.iter().map(|kind| {
        json!({
            "if": { "properties": { "kind": { "const": kind.name() } }, "required": ["kind"] },
            "then": { "$ref": format!("#/$defs/{}", definition(kind)) },
        })
    });
    json!({
        "description": "The vendors, each under the name that the application uses.",
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "properties": { "kind": { "enum": names } },
            "required": ["kind"],
            "allOf": of_kind.collect::<Vec<_>>(),
        },
    })
}

fn provider(kind: &ProviderKind) -> Value {
    let mut schema = table(kind.fields(), kind.declares_fields());
    schema["properties"]["kind"] = json!({ "const": kind.name() });
    schema["description"] = json!(kind.description());
    schema["properties"][http::NAME]["$ref"] = json!("#/$defs/http");
    schema
}

fn table<'f>(fields: impl Iterator<Item = &'f Field>, closed: bool) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields {
        let mut schema = match field.inside() {
            Some(Members::Table(fields)) => table(fields.iter(), true),
            Some(Members::List(fields)) => {
                json!({ "type": "array", "items": table(fields.iter(), true) })
            }
            Some(Members::Named(fields)) => {
                json!({ "type": "object", "additionalProperties": table(fields.iter(), true) })
            }
            _ => value(field.ty()),
        };
        if !field.description().is_empty() {
            schema["description"] = json!(field.description());
        }
        properties.insert(field.name().into(), schema);
        if field.is_required() {
            required.push(field.name());
        }
    }
    let mut table = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        table["required"] = json!(required);
    }
    if closed {
        table["additionalProperties"] = json!(false);
    }
    table
}

fn value(ty: FieldType) -> Value {
    match ty {
        FieldType::Text => json!({ "type": "string" }),
        FieldType::Integer => json!({ "type": "integer" }),
        FieldType::Bool => json!({ "type": "boolean" }),
        FieldType::Url => json!({ "type": "string", "format": "uri" }),
        FieldType::Texts | FieldType::Scopes => json!({
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "string" } },
            ],
        }),
        FieldType::TextsOrFalse => json!({
            "anyOf": [
                { "const": false },
                { "type": "string" },
                { "type": "array", "items": { "type": "string" } },
            ],
        }),
        FieldType::Secret | FieldType::Identifier => json!({ "$ref": "#/$defs/secret" }),
        FieldType::TokenSource | FieldType::Key => json!({
            "anyOf": [{ "$ref": "#/$defs/secret" }, { "type": "object" }],
        }),
        FieldType::Date => json!({ "type": "string", "format": "date" }),
        FieldType::Number => json!({ "type": "number" }),
        FieldType::Duration => json!({
            "anyOf": [
                { "type": "number", "minimum": 0 },
                { "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? *(ms|s|m|h|d)$" },
            ],
        }),
        FieldType::Choice(choices) => json!({ "enum": choices }),
        FieldType::Table | FieldType::SecretTable => json!({ "type": "object" }),
        _ => json!({}),
    }
}

/// A secret, as `ConfigValue::to_secret` reads it.
fn secret() -> Value {
    let one = json!([
        { "type": "string" },
        {
            "type": "object",
            "properties": {
                "cmd": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
                "at": { "type": "string", "pattern": "^/" },
            },
            "required": ["cmd"],
            "additionalProperties": false,
        },
        {
            "type": "object",
            "properties": {
                "file": { "type": "string" },
                "at": { "type": "string", "pattern": "^/" },
            },
            "required": ["file"],
            "additionalProperties": false,
        },
        {
            "type": "object",
            "properties": { "vault": {
                "type": "object",
                "properties": {
                    "mount": { "type": "string" },
                    "path": { "type": "string" },
                    "field": { "type": "string" },
                },
                "required": ["mount", "path", "field"],
                "additionalProperties": false,
            } },
            "required": ["vault"],
            "additionalProperties": false,
        },
    ]);
    json!({
        "description": "The secret itself, \"env:NAME\", \"file:PATH\", { cmd = [\"argv\", …] }, or \
                        a list of these, tried in order.",
        "anyOf": [
            { "anyOf": one },
            { "type": "array", "minItems": 1, "items": { "anyOf": one } },
        ],
    })
}
