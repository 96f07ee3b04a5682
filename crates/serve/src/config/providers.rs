//! `[serve.providers.NAME]`.

use std::time::Duration;

use biped::config::{ConfigTable, Field, FieldType};

use super::mention::Mention;
use crate::allow::Rule;

/// The settings of one provider.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProviderSettings {
    pub(crate) allow: Option<Vec<Rule>>,
    pub(crate) deny: Vec<Rule>,
    pub(crate) params: Vec<String>,
    pub(crate) scopes: Vec<String>,
    /// Whether requests may name a tenant.
    pub(crate) tenants: bool,
    pub(crate) listen: Vec<String>,
    pub(crate) forward_cookies: bool,
    pub(crate) via: bool,
    pub(crate) http2: Http2,
    pub(crate) max_concurrent_requests: Option<usize>,
    pub(crate) response_timeout: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
}

/// Which protocol the API is spoken to in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Http2 {
    #[default]
    Auto,
    Off,
    PriorKnowledge,
}

pub(super) const FIELDS: &[Field] = &[
    Field::new("allow", FieldType::Texts),
    Field::new("deny", FieldType::Texts),
    Field::new("params", FieldType::Texts),
    Field::new("scopes", FieldType::Texts),
    Field::new("tenants", FieldType::Bool),
    Field::new("listen", FieldType::Texts),
    Field::new("forward_cookies", FieldType::Bool),
    Field::new("via", FieldType::Bool),
    Field::new("websocket", FieldType::Bool),
    Field::new(
        "http2",
        FieldType::Choice(&["auto", "off", "prior-knowledge"]),
    ),
    Field::new("max_concurrent_requests", FieldType::Integer),
    Field::new("response_timeout", FieldType::Duration),
    Field::new("idle_timeout", FieldType::Duration),
];

/// Reads the tables of all providers.
pub(super) fn read(table: &ConfigTable) -> Vec<(Mention, ProviderSettings)> {
    let Some(all) = table.table("providers") else {
        return Vec::new();
    };
    let names = Mention::keys(&all).into_iter();
    let tables = names.filter_map(|name| {
        let settings = one(&all.table(&name)?);
        Some((name, settings))
    });
    tables.collect()
}

fn one(table: &ConfigTable) -> ProviderSettings {
    table.check(FIELDS);
    if table.boolean("websocket") == Some(true) {
        drop(table.invalid(
            "websocket",
            "reserved; this release does not support it yet",
        ));
    }
    let rules = |key: &str| {
        let texts = table.texts(key)?;
        let rules: Option<Vec<Rule>> = texts.iter().map(|text| Rule::parse(text)).collect();
        let expected = "rules such as \"GET /v1/**\" or \"* /v1/orders\"";
        table.checked(key, rules, expected, |_| true)
    };
    let protocols = [
        ("auto", Http2::Auto),
        ("off", Http2::Off),
        ("prior-knowledge", Http2::PriorKnowledge),
    ];
    ProviderSettings {
        // A list that can't be read allows nothing.
        allow: table
            .value("allow")
            .map(|_| rules("allow").unwrap_or_default()),
        deny: rules("deny").unwrap_or_default(),
        params: table.texts("params").unwrap_or_default(),
        scopes: table.texts("scopes").unwrap_or_default(),
        tenants: table.boolean("tenants").unwrap_or(false),
        listen: table.texts("listen").unwrap_or_default(),
        forward_cookies: table.boolean("forward_cookies").unwrap_or(false),
        via: table.boolean("via").unwrap_or(false),
        http2: table.choice("http2", &protocols).unwrap_or_default(),
        max_concurrent_requests: table.count("max_concurrent_requests"),
        response_timeout: table.positive_duration("response_timeout"),
        idle_timeout: table.positive_duration("idle_timeout"),
    }
}
