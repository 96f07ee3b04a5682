//! Reading `[response]`: how a response is read.

use std::{collections::BTreeMap, time::Duration};

use biped_config::{ConfigTable, ConfigValue, Value};
use biped_core::Lifetime;

use crate::{
    answer_path::AnswerPath,
    expiry::{Expiry, Written},
    reading::{VendorTable as _, line},
    response::{Codes, Reads, Success, Words},
    template::Template,
};

pub(crate) fn reads(step: &ConfigTable, is_first: bool) -> Reads {
    let empty = || step.inner("response", step.origin().clone(), BTreeMap::new());
    let section = step.table("response").unwrap_or_else(empty);
    let format = section.choice("format", &[("json", false), ("text", true)]);
    let named = section.answer_path("token");
    // A token that is the whole body is plain text, unless format = "json" says that it is quoted.
    let is_text = format.unwrap_or_else(|| named.as_ref().is_some_and(AnswerPath::is_whole_body));
    let usual_token = match (is_first, is_text) {
        (true, false) => Some(AnswerPath::key("access_token")),
        (true, true) => AnswerPath::parse("").ok(),
        (false, _) => None,
    };
    let token = named.or(usual_token);
    if let Some(place) = token.as_ref().filter(|_| is_text)
        && !place.is_whole_body()
        && !place.is_header()
    {
        let line = section.line_of("token");
        let why =
            "with format = \"text\" the token is the whole body; expected \"\" or header:NAME";
        section.wrong(line, "token", why);
    }
    let brings_json_token = token.is_some() && !is_text;
    let expires = expiry(&section, brings_json_token);
    let mut codes = Codes::default();
    let words = section.table("error").map(|inside| {
        codes = meanings(&inside);
        let words = Words {
            code: inside.answer_path("code"),
            reason: inside.answer_path("reason"),
            message: inside.answer_path("message"),
        };
        inside.report_unread();
        words
    });
    let mut reads = Reads {
        wanted: None,
        is_text,
        needs_token: token.is_some(),
        token,
        expires,
        lifetime: lifetime(&section),
        idle: section.positive_duration("idle"),
        base_url: section.answer_path("base_url"),
        base_url_hosts: hosts(&section),
        export: exports(&section),
        ok: section.table("ok").and_then(|ok| success(&ok)),
        words,
        codes,
        token_type: section
            .answer_path("token_type")
            .unwrap_or_else(|| AnswerPath::key("token_type")),
        scope: section
            .answer_path("scope")
            .unwrap_or_else(|| AnswerPath::key("scope")),
    };
    if reads.base_url.is_some() && reads.base_url_hosts.is_empty() {
        let line = section.line_of("base_url");
        let why = "missing; set it to the hosts that base_url may name";
        section.wrong(line, "base_url_hosts", why);
    }
    section.report_unread();
    reads.wanted = wanted(&reads);
    reads
}

fn meanings(error: &ConfigTable) -> Codes {
    let codes = |key| {
        let all = match &error.value(key)?.raw {
            Value::List(all) => all.iter().map(code).collect(),
            _ => None,
        };
        error.checked(key, all, "a list of codes", |all: &Vec<_>| !all.is_empty())
    };
    Codes {
        invalid_client: codes("invalid_client").unwrap_or_default(),
        temporarily_unavailable: codes("temporarily_unavailable").unwrap_or_default(),
    }
}

/// A code as it is found in a response: as text, also where the vendor writes a number.
fn code(value: &ConfigValue) -> Option<String> {
    match &value.raw {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The top keys of a response that are read.
fn wanted(reads: &Reads) -> Option<Box<[Box<str>]>> {
    if reads.is_text {
        return None;
    }
    let export = reads.export.iter().map(|(_, place)| place);
    let expires = reads
        .expires
        .iter()
        .flat_map(|expires| expires.at.iter().chain(&expires.issued));
    let mut keys: Vec<Box<str>> = Vec::new();
    if reads.is_expiry_usual() {
        keys.extend(["expires_on", "expires_at"].map(Into::into));
    }
    for place in export
        .chain(expires)
        .chain(&reads.token)
        .chain(&reads.base_url)
        .chain(reads.ok.as_ref().map(|ok| &ok.at))
        .chain([&reads.token_type, &reads.scope])
    {
        if let AnswerPath::Body(pointer) = place {
            let key = pointer.top()?.into();
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    Some(keys.into())
}

fn expiry(section: &ConfigTable, is_usual: bool) -> Option<Expiry> {
    let Some(inside) = section.table("expires") else {
        return is_usual.then(|| Expiry {
            at: Some(AnswerPath::key("expires_in")),
            written: Written::Seconds,
            is_described: false,
            issued: None,
        });
    };
    let at = inside.answer_path("at");
    let written = match inside.text("as") {
        None => Written::Seconds,
        Some((text, line)) => Written::parse(&text).unwrap_or_else(|why| {
            inside.wrong(line, "as", why);
            Written::Seconds
        }),
    };
    if at.is_none() && inside.value("at").is_none() && !matches!(written, Written::Jwt) {
        inside.wrong(
            inside.line(),
            "at",
            "missing; expected a JSON pointer or header:NAME, which only as = \"jwt\" can do without",
        );
    }
    let issued = inside.answer_path("issued");
    if issued.is_some() && !written.is_lifetime() {
        let why =
            "only a lifetime counts from its issue; set as to seconds, millis, duration or auto";
        inside.wrong(inside.line_of("issued"), "issued", why);
    }
    inside.report_unread();
    Some(Expiry {
        at,
        written,
        is_described: true,
        issued,
    })
}

fn lifetime(section: &ConfigTable) -> Option<Lifetime> {
    if let Some(Value::Bool(false)) = section.value("lifetime").map(|node| &node.raw) {
        return Some(Lifetime::UntilRejected);
    }
    let seconds = section.seconds("lifetime")?;
    Some(Lifetime::For(Duration::from_secs(seconds)))
}

fn hosts(section: &ConfigTable) -> Vec<Template> {
    let mut hosts = Vec::new();
    for (text, line) in section.list("base_url_hosts").unwrap_or_default() {
        if text.is_empty() || text.contains(['/', ':', '@', '?', '#']) {
            let why = "expected a host name without scheme and port, such as \"*.vendor.example\"";
            section.wrong(line, "base_url_hosts", why);
        } else {
            hosts.extend(section.parsed("base_url_hosts", &text, line));
        }
    }
    hosts
}

fn exports(section: &ConfigTable) -> Vec<(Box<str>, AnswerPath)> {
    let Some(inside) = section.table("export") else {
        return Vec::new();
    };
    let mut exports = Vec::new();
    for (key, value) in inside.entries() {
        let place = match &value.raw {
            Value::Text(text) => AnswerPath::parse(text),
            _ => Err("expected a JSON pointer or header:NAME"),
        };
        match place {
            Ok(place) => exports.push((key.into(), place)),
            Err(why) => inside.wrong(line(value), key, why),
        }
    }
    exports
}

fn success(section: &ConfigTable) -> Option<Success> {
    let at = section.answer_path("at");
    let equals = section.value("equals");
    for (key, is_missing) in [
        ("at", section.value("at").is_none()),
        ("equals", equals.is_none()),
    ] {
        if is_missing {
            section.wrong(section.line(), key, "missing");
        }
    }
    let or_absent = section.boolean("or_absent").unwrap_or(false);
    if let Some(Value::List(_) | Value::Table(_)) = equals.map(|node| &node.raw) {
        section.wrong(
            section.line(),
            "equals",
            "expected a string, a number, true or false",
        );
    }
    section.report_unread();
    Some(Success {
        at: at?,
        equals: equals?.to_json(),
        or_absent,
    })
}
