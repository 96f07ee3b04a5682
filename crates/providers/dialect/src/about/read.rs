//! Reading `[about]`.

use biped_config::{ConfigTable, ConfigValue, Value, nearest};
use http::Method;

use super::{About, Declared, FACTS, Limits, Scopes, Source, Verify};
use crate::reading::{VendorTable as _, line};

pub(crate) fn about(section: &ConfigTable) -> About {
    let text = |key| section.text(key).map(|(text, _)| text.into());
    let title = text("title");
    if title.is_none() && section.value("title").is_none() {
        section.wrong(section.line(), "title", "missing; expected a string");
    }
    let docs = text("docs");
    let sources: Box<[Source]> = section
        .tables("source", false)
        .unwrap_or_default()
        .iter()
        .map(source)
        .collect();
    if docs.is_none() && section.value("docs").is_none() && sources.is_empty() {
        let what = "missing; expected a string, or an [[about.source]]";
        section.wrong(section.line(), "docs", what);
    }
    let params = section.table("params");
    let about = About {
        title: title.unwrap_or_default(),
        variant: text("variant"),
        aliases: texts(section, "aliases"),
        docs: docs.unwrap_or_default(),
        checked: section
            .value("checked")
            .and_then(|node| date(section, node)),
        live: section.boolean("live").unwrap_or(false),
        credentials: text("credentials"),
        scopes: scopes(section),
        api: text("api"),
        verify: section.table("verify").and_then(|inside| verify(&inside)),
        limits: section.table("limits").and_then(|inside| limits(&inside)),
        same_token: section.boolean("same_token").unwrap_or(false),
        one_token: section.boolean("one_token").unwrap_or(false),
        sources,
        unverified: facts(section, "unverified"),
        tags: texts(section, "tags"),
        notes: text("notes"),
        params: params.map(|params| declared(&params)).unwrap_or_default(),
    };
    section.report_unread();
    about
}

fn texts(section: &ConfigTable, key: &str) -> Box<[Box<str>]> {
    let all = section.list(key).unwrap_or_default();
    all.into_iter().map(|(text, _)| text.into()).collect()
}

/// Reads a list of names of [`FACTS`].
fn facts(section: &ConfigTable, key: &str) -> Box<[Box<str>]> {
    let all = section.list(key).unwrap_or_default();
    for (fact, line) in &all {
        if !FACTS.contains(&&**fact) {
            let what = match nearest(fact, FACTS.iter().copied()) {
                Some(meant) => format!("unknown fact; did you mean {meant}?"),
                None => format!("unknown fact; expected one of {}", FACTS.join(", ")),
            };
            section.wrong(*line, key, what);
        }
    }
    all.into_iter().map(|(fact, _)| fact.into()).collect()
}

fn source(section: &ConfigTable) -> Source {
    let url = section.text("url").map(|(url, _)| url);
    match &url {
        None if section.value("url").is_none() => {
            section.wrong(section.line(), "url", "missing; expected a URL");
        }
        Some(url) if !url.starts_with("https://") && !url.starts_with("http://") => {
            section.wrong(section.line_of("url"), "url", "expected a URL");
        }
        _ => {}
    }
    let source = Source {
        url: url.unwrap_or_default().into(),
        says: facts(section, "says"),
        own: section.boolean("own").unwrap_or(false),
    };
    section.report_unread();
    source
}

fn scopes(section: &ConfigTable) -> Option<Scopes> {
    let node = section.value("scopes")?;
    match &node.raw {
        Value::Text(text) => Some(Scopes::Described(text.clone())),
        Value::Table(_) => {
            let inside = section.table("scopes")?;
            let mut all = Vec::new();
            for (name, value) in inside.entries() {
                match &value.raw {
                    Value::Text(says) => all.push((name.to_owned(), says.clone())),
                    _ => inside.wrong(line(value), name, "expected a sentence"),
                }
            }
            Some(Scopes::Listed(all))
        }
        _ => {
            let what = "expected a table of scopes and sentences, or one sentence";
            section.wrong(line(node), "scopes", what);
            None
        }
    }
}

fn verify(section: &ConfigTable) -> Option<Verify> {
    let method = section.choice(
        "method",
        &[("GET", "GET"), ("HEAD", "HEAD"), ("POST", "POST")],
    );
    let path = section.text("path").map(|(path, _)| path);
    match &path {
        None if section.value("path").is_none() => {
            section.wrong(section.line(), "path", "missing; expected a path");
        }
        Some(path) if !path.starts_with('/') => {
            let what = "expected a path below api; start it with /";
            section.wrong(section.line_of("path"), "path", what);
        }
        _ => {}
    }
    let status = match section.value("status").map(|node| (&node.raw, line(node))) {
        None => Some(200),
        Some((Value::Integer(status @ 100..=599), _)) => u16::try_from(*status).ok(),
        Some((_, line)) => {
            section.wrong(line, "status", "expected an HTTP status");
            None
        }
    };
    section.report_unread();
    Some(Verify {
        method: match method {
            Some("HEAD") => Method::HEAD,
            Some("POST") => Method::POST,
            _ => Method::GET,
        },
        path: path?.into(),
        status: status?,
    })
}

fn limits(section: &ConfigTable) -> Option<Limits> {
    for key in ["requests", "per"] {
        if section.value(key).is_none() {
            let what = match key {
                "requests" => "missing; expected a number of token requests",
                _ => "missing; expected a duration",
            };
            section.wrong(section.line(), key, what);
        }
    }
    let requests: Option<u32> = section.count("requests");
    let per = section.positive_duration("per");
    section.report_unread();
    Some(Limits {
        requests: requests?,
        per: per?,
    })
}

fn date(section: &ConfigTable, node: &ConfigValue) -> Option<Box<str>> {
    match &node.raw {
        Value::Date(date) => Some(date.as_str().into()),
        _ => {
            section.wrong(line(node), "checked", "expected a date such as 2026-11-22");
            None
        }
    }
}

fn declared(section: &ConfigTable) -> Vec<Declared> {
    let mut all = Vec::new();
    for (key, value) in section.entries() {
        let mut param = Declared {
            name: key.into(),
            says: Box::default(),
            secret: false,
            optional: false,
            line: line(value),
        };
        match &value.raw {
            Value::Text(says) => param.says = says.as_str().into(),
            Value::Table(table) => {
                let inside = section.inner(key, value.origin.clone(), table.clone());
                param.says = inside.text("says").unwrap_or_default().0.into();
                param.secret = inside.boolean("secret").unwrap_or(false);
                param.optional = inside.boolean("optional").unwrap_or(false);
                inside.report_unread();
            }
            _ => section.wrong(
                line(value),
                key,
                "expected a sentence, or a table { says, secret, optional }",
            ),
        }
        all.push(param);
    }
    all
}
