//! The page `/-/`: [`status`](crate::status) for people, right without its script, and live with it.

use std::{fmt::Write as _, sync::LazyLock};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{live::Live, shared::Shared, status};

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// Only the page's own style and script, and requests to the sidecar itself.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

const COLUMNS: [&str; 13] = [
    "Provider",
    "Kind",
    "State",
    "Life left",
    "Refresh at",
    "Fetches",
    "Rejections",
    "Requests",
    "Secrets",
    "Last error",
    "Next attempt in",
    "Token endpoint",
    "Base URL",
];

pub(crate) fn of(shared: &Shared, live: &Live) -> Response<Bytes> {
    let page = document(&status::of(shared, live));
    let mut response = Response::new(Bytes::from(page));
    let headers = response.headers_mut();
    let fixed = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn document(status: &Value) -> String {
    let configuration = &status["configuration"];
    let failed = if configuration["error"].is_null() {
        ""
    } else {
        " class=\"bad\""
    };
    let facts = [
        ("Release", "release", "", text(&status["release"])),
        ("Ready", "ready", "", yes(&status["ready"], "yes", "no")),
        ("Uptime", "uptime", "", span(&status["uptime"])),
        ("Configuration", "path", "", text(&configuration["path"])),
        ("SHA-256", "sha256", "", text(&configuration["sha256"])),
        ("Read at", "read", "", text(&configuration["read_at"])),
        (
            "Why the changed configuration is not in use",
            "error",
            failed,
            text(&configuration["error"]),
        ),
    ];
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>Biped</title>\n\
         <style>{STYLE}</style>\n<main>\n<h1>Biped</h1>\n<p id=\"news\" aria-live=\"polite\"></p>\n<dl>\n"
    );
    for (name, id, class, value) in facts {
        let value = html(&value);
        let _ = writeln!(page, "<dt>{name}</dt><dd id=\"{id}\"{class}>{value}</dd>");
    }
    page.push_str(
        "</dl>\n<div class=\"scroll\" role=\"region\" aria-label=\"Providers\" tabindex=\"0\">\n\
         <table>\n<caption>Providers</caption>\n<thead><tr>",
    );
    for column in COLUMNS {
        let _ = write!(page, "<th scope=\"col\">{column}</th>");
    }
    page.push_str("</tr></thead>\n<tbody id=\"providers\">\n");
    for provider in status["providers"].as_array().into_iter().flatten() {
        row(&mut page, provider);
    }
    let _ = write!(
        page,
        "</tbody>\n</table>\n</div>\n</main>\n<script>{SCRIPT}</script>\n</html>\n"
    );
    page
}

fn row(page: &mut String, provider: &Value) {
    let name = html(&text(&provider["name"]));
    let _ = write!(page, "<tr id=\"p-{name}\"><th scope=\"row\">{name}</th>");
    for cell in [
        text(&provider["kind"]),
        text(&provider["state"]),
        span(&provider["remaining"]),
        text(&provider["refresh_at"]),
        text(&provider["fetches"]),
        text(&provider["rejections"]),
        requests(&provider["requests"]),
        yes(&provider["secrets_found"], "found", "not found"),
        failure(&provider["last_error"]),
        span(&provider["next_attempt"]),
        text(&provider["token_endpoint"]),
        text(&provider["base_url"]),
    ] {
        let _ = write!(page, "<td>{}</td>", html(&cell));
    }
    page.push_str("</tr>\n");
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "–".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn yes(value: &Value, yes: &str, no: &str) -> String {
    match value.as_bool() {
        Some(true) => yes.into(),
        _ => no.into(),
    }
}

/// As the script writes it.
fn span(seconds: &Value) -> String {
    let Some(seconds) = seconds.as_u64() else {
        return "–".into();
    };
    let (hours, minutes, seconds) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {seconds} s"),
        _ => format!("{hours} h {minutes} min {seconds} s"),
    }
}

fn requests(counts: &Value) -> String {
    let counts = counts.as_object().into_iter().flatten();
    let told = counts.filter(|(_, count)| count.as_u64() != Some(0));
    let told: Vec<_> = told
        .map(|(class, count)| format!("{class}: {count}"))
        .collect();
    match told.is_empty() {
        true => "none".into(),
        false => told.join(", "),
    }
}

fn failure(error: &Value) -> String {
    let keys = ["kind", "status", "code", "reason", "message"];
    let told = keys.map(|key| &error[key]);
    let told: Vec<_> = told
        .into_iter()
        .filter(|it| !it.is_null())
        .map(text)
        .collect();
    match told.is_empty() {
        true => "–".into(),
        false => told.join(" · "),
    }
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
