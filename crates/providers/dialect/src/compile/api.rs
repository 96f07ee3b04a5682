//! Reading `[attach]` and `[expired]`: tokens on API calls.

use super::fields::{read_headers, user_and_password};
use crate::{
    attach::{Attach, Expired},
    section::Section,
    source::{Entry, Node, Value},
};

pub(crate) fn attach(section: &Section<'_>) -> Attach {
    let query = section.table("query").map_or_else(Vec::new, |inside| {
        let read = |entry: &Entry| match &entry.node.value {
            Value::Text(text) => Some((
                entry.key.as_str().into(),
                inside.parsed(&entry.key, text, entry.node.line)?,
            )),
            _ => {
                inside.wrong(entry.line, &entry.key, "expected a string");
                None
            }
        };
        inside.entries().iter().filter_map(read).collect()
    });
    let basic = section.table("basic").and_then(|basic| {
        let (user, password) = user_and_password(&basic);
        Some((user?, password?))
    });
    let headers = section
        .table("headers")
        .map(|headers| read_headers(&headers))
        .unwrap_or_default();
    for entry in section.entries() {
        let known = ["headers", "query", "basic"];
        if !known.contains(&entry.key.as_str()) {
            section
                .faults()
                .unknown(entry.line, section.path(&entry.key), &entry.key, &known);
        }
    }
    if headers.is_empty() && query.is_empty() && basic.is_none() {
        section.wrong(
            section.line(),
            "headers",
            "[attach] is empty; set headers, query or basic",
        );
    }
    Attach {
        headers,
        query,
        basic,
    }
}

pub(crate) fn expired(section: &Section<'_>) -> Expired {
    let status = section.node("status").and_then(|node| {
        let code = |node: &Node| match node.value {
            Value::Integer(code @ 100..=599) => u16::try_from(code).ok(),
            _ => None,
        };
        let codes = match &node.value {
            Value::List(all) => all.iter().map(code).collect(),
            _ => code(node).map(|code| vec![code]),
        };
        if codes.is_none() {
            section.wrong(node.line, "status", "expected a list of HTTP status codes");
        }
        codes
    });
    let at = section.place("at");
    let any_of = section.node("any_of").and_then(|node| match &node.value {
        Value::List(all) => Some(all.iter().map(Node::to_json).collect::<Vec<_>>()),
        _ => {
            section.wrong(node.line, "any_of", "expected a list");
            None
        }
    });
    for entry in section.entries() {
        let known = ["status", "at", "any_of"];
        if !known.contains(&entry.key.as_str()) {
            section
                .faults()
                .unknown(entry.line, section.path(&entry.key), &entry.key, &known);
        }
    }
    let body = match (at, any_of) {
        (Some(at), Some(any_of)) => Some((at, any_of)),
        (None, None) => None,
        _ => {
            section.wrong(section.line(), "at", "at and any_of need each other");
            None
        }
    };
    if status.is_none() && body.is_none() {
        section.wrong(
            section.line(),
            "status",
            "expected status, or at and any_of",
        );
    }
    Expired { status, body }
}
