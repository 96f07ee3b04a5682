//! Reading `[attach]` and `[expired]`: tokens on API calls.

use biped_config::{ConfigTable, ConfigValue, Value};

use super::fields::{read_headers, user_and_password};
use crate::{
    attach::{Attach, Expired},
    reading::{VendorTable as _, line, to_json},
};

pub(crate) fn attach(section: &ConfigTable) -> Attach {
    let query = section.table("query").map_or_else(Vec::new, |inside| {
        let read = |(key, value): (&str, &ConfigValue)| match &value.raw {
            Value::Text(text) => Some((key.into(), inside.parsed(key, text, line(value))?)),
            _ => {
                inside.wrong(line(value), key, "expected a string");
                None
            }
        };
        inside.entries().into_iter().filter_map(read).collect()
    });
    let basic = section.table("basic").and_then(|basic| {
        let (user, password) = user_and_password(&basic);
        Some((user?, password?))
    });
    let headers = section
        .table("headers")
        .map(|headers| read_headers(&headers))
        .unwrap_or_default();
    section.report_unread();
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

pub(crate) fn expired(section: &ConfigTable) -> Expired {
    let status = section.value("status").and_then(|node| {
        let code = |node: &ConfigValue| match node.raw {
            Value::Integer(code @ 100..=599) => u16::try_from(code).ok(),
            _ => None,
        };
        let codes = match &node.raw {
            Value::List(all) => all.iter().map(code).collect(),
            _ => code(node).map(|code| vec![code]),
        };
        if codes.is_none() {
            section.wrong(line(node), "status", "expected a list of HTTP status codes");
        }
        codes
    });
    let at = section.answer_path("at");
    let any_of = section.value("any_of").and_then(|node| match &node.raw {
        Value::List(all) => Some(all.iter().map(to_json).collect::<Vec<_>>()),
        _ => {
            section.wrong(line(node), "any_of", "expected a list");
            None
        }
    });
    section.report_unread();
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
