//! Reading `[attach]`: tokens on API calls.

use biped_config::{ConfigTable, ConfigValue, Value};

use super::fields::{read_headers, user_and_password};
use crate::{
    attach::Attach,
    reading::{VendorTable as _, line},
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
