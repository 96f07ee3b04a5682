//! Writes a vendor file.

use std::fmt::Write as _;

use crate::{
    answer::Place,
    api::Api,
    body::{Encoding, Field, Fields},
    example,
    learned::{Learned, Refusal, Written},
    place::Path,
    request::{Auth, Request},
    template::Template,
    toml::{inline, quoted, table},
    whole::Whole,
};

pub(crate) fn write(whole: &Whole<'_>, mut notes: Vec<String>) -> Result<Learned, Refusal> {
    let request = whole.request;
    let mut out = String::new();
    request_keys(request, &mut out);
    response(whole, &mut out);
    attach(whole.api, &mut out);
    about(whole, &mut notes, &mut out);
    example::token(whole, &mut out);
    example::refusal(whole, &mut out);
    let report = biped_dialect::check_text(&out, whole.material.name);
    if !report.is_good() {
        let problem = report.problems().first();
        let difference = report.differences().first();
        let why = problem
            .map(|problem| format!("{}: {}", problem.key, problem.message))
            .or_else(|| difference.map(|difference| difference.what.clone()));
        return Err(Refusal::new(
            format!(
                "the vendor file of this example would not pass its own check ({})",
                why.unwrap_or_default()
            ),
            "write the file by hand, as the guide shows",
        ));
    }
    if !matches!(request.auth, Auth::None) && request.grant_type.is_none() {
        notes.push("the command sends no grant_type, and neither does the file".into());
    }
    if matches!(request.auth, Auth::Basic(..)) {
        notes.push(
            "credentials are sent in Basic as curl sends them, unencoded; remove `basic` if the vendor \
             encodes them as RFC 6749 says"
                .into(),
        );
    }
    Ok(Learned::new(out, Written::File, notes))
}

fn template(template: &Template) -> String {
    quoted(&template.written())
}

fn field(value: &Field) -> String {
    match value {
        Field::Text(text) => template(text),
        Field::Number(text) => table([("number", template(text))]),
        Field::Fixed(value) => inline(value),
        Field::List(all) => {
            let all: Vec<_> = all.iter().map(field).collect();
            format!("[{}]", all.join(", "))
        }
    }
}

fn fields(all: &Fields) -> String {
    table(
        all.iter()
            .map(|(name, value)| (name.as_str(), field(value))),
    )
}

fn headers(all: &[(String, Template)]) -> String {
    table(
        all.iter()
            .map(|(name, value)| (name.as_str(), template(value))),
    )
}

fn request_keys(request: &Request, out: &mut String) {
    let mut line = |key: &str, value: String| {
        let _ = writeln!(out, "{key} = {value}");
    };
    line("url", template(&request.url));
    if request.method != "POST" {
        line("method", quoted(&request.method));
    }
    match request.encoding {
        Encoding::Form => {}
        Encoding::Json => line("encoding", quoted("json")),
        Encoding::Query => line("encoding", quoted("query")),
        Encoding::Text => line("encoding", quoted("text")),
        Encoding::None => line("encoding", quoted("none")),
    }
    match &request.auth {
        Auth::Body => {}
        Auth::None => line("auth", quoted("none")),
        Auth::Basic(user, password) => {
            line("auth", quoted("basic"));
            let both = [("user", template(user)), ("password", template(password))];
            line("basic", table(both));
        }
    }
    match request.grant_type.as_deref() {
        Some("client_credentials") => {}
        Some(other) => line("grant_type", quoted(other)),
        None => line("grant_type", "false".into()),
    }
    if !request.scopes.is_empty() {
        let scopes: Vec<_> = request.scopes.iter().map(|scope| quoted(scope)).collect();
        line("scopes", format!("[{}]", scopes.join(", ")));
    }
    if request.separator != " " {
        line("scope_separator", quoted(request.separator));
    }
    if !request.fields.is_empty() {
        line("fields", fields(&request.fields));
    }
    if !request.query.is_empty() {
        line("query", fields(&request.query));
    }
    if !request.headers.is_empty() {
        line("headers", headers(&request.headers));
    }
    if let Some(body) = &request.body {
        line("body", template(body));
    }
    if request.certificate {
        line("client_certificate", "true".into());
    }
}

fn response(whole: &Whole<'_>, out: &mut String) {
    let answer = whole.answer;
    let mut entries: Vec<(&str, String)> = Vec::new();
    match &answer.token {
        Place::Whole => entries.push(("format", quoted("text"))),
        Place::Header(name) => entries.push(("token", quoted(&format!("header:{name}")))),
        Place::Body(path) => match &*path.pointer() {
            "/access_token" => {}
            "" => entries.extend([("format", quoted("json")), ("token", quoted(""))]),
            pointer => entries.push(("token", quoted(pointer))),
        },
    }
    if let Some(expires) = &answer.expires {
        let pointer = expires.path.pointer();
        if pointer != "/expires_in" || expires.form != "seconds" {
            let both = [("at", quoted(&pointer)), ("as", quoted(expires.form))];
            entries.push(("expires", table(both)));
        }
    }
    if let Some((path, host)) = &answer.base_url {
        entries.push(("base_url", quoted(&path.pointer())));
        entries.push((
            "base_url_hosts",
            format!("[{}]", quoted(&format!("*.{host}"))),
        ));
    }
    if let Some(ok) = whole.ok {
        let both = [
            ("at", quoted(&ok.path.pointer())),
            ("equals", inline(&ok.success)),
        ];
        entries.push(("ok", table(both)));
    }
    if let Some(refused) = whole.refused {
        let mut places = Vec::new();
        let mut add = |name, path: Option<&Path>| {
            places.extend(path.map(|path| (name, quoted(&path.pointer()))));
        };
        if !refused.is_usual() {
            add("code", refused.code.as_ref().map(|(path, _)| path));
            add("reason", refused.reason.as_ref().map(|(path, _)| path));
            add("message", refused.message.as_ref());
        }
        if let Some(code) = refused.client_code() {
            places.push(("invalid_client", format!("[{}]", inline(code))));
        }
        if !places.is_empty() {
            entries.push(("error", table(places)));
        }
    }
    if !entries.is_empty() {
        out.push_str("\n[response]\n");
    }
    for (name, value) in entries {
        let _ = writeln!(out, "{name} = {value}");
    }
}

fn attach(api: Option<&Api>, out: &mut String) {
    let Some(api) = api.filter(|api| !api.is_usual()) else {
        return;
    };
    out.push_str("\n[attach]\n");
    if !api.headers.is_empty() {
        let _ = writeln!(out, "headers = {}", headers(&api.headers));
    }
    if !api.query.is_empty() {
        let _ = writeln!(out, "query = {}", headers(&api.query));
    }
    if let Some((user, password)) = &api.basic {
        let both = [("user", template(user)), ("password", template(password))];
        let _ = writeln!(out, "basic = {}", table(both));
    }
}

const NO_DOCS: &str = "the page that shows these examples; put its address here";

fn about(whole: &Whole<'_>, notes: &mut Vec<String>, out: &mut String) {
    let material = whole.material;
    let title: String = material
        .name
        .split(['-', '_'])
        .filter_map(|word| {
            let first = word.chars().next()?;
            Some(format!(
                "{}{}",
                first.to_uppercase(),
                &word[first.len_utf8()..]
            ))
        })
        .collect::<Vec<_>>()
        .join(" ");
    let _ = writeln!(out, "\n[about]\ntitle = {}", quoted(&title));
    let _ = writeln!(out, "docs = {}", quoted(material.docs.unwrap_or(NO_DOCS)));
    if material.docs.is_none() {
        notes.push("about.docs is missing; write the address of the documentation there".into());
    }
    if let Some(checked) = material.checked {
        let _ = writeln!(out, "checked = {checked}");
    }
    out.push_str("live = false\n");
    let request = whole.request;
    if !request.scopes.is_empty() {
        let scopes = request.scopes.iter();
        let says = quoted("from the documentation's example");
        let scopes = table(scopes.map(|scope| (scope.as_str(), says.clone())));
        let _ = writeln!(out, "scopes = {scopes}");
    }
    if let Some(base) = whole.api.and_then(|api| api.base.as_ref()) {
        let _ = writeln!(out, "api = {}", template(base));
    }
    let unverified = [
        ("encoding", matches!(request.auth, Auth::Basic(..))),
        ("lifetime", whole.answer.expires.is_none()),
        ("refusal", whole.refused.is_none()),
        (
            "api",
            whole
                .api
                .is_none_or(|api| api.base.is_none() || !api.has_token()),
        ),
        ("scopes", request.scopes.is_empty()),
        ("verify", true),
        ("credentials", true),
    ];
    let facts = unverified.iter().filter(|(_, is_open)| *is_open);
    let facts: Vec<_> = facts.map(|(fact, _)| quoted(fact)).collect();
    let _ = writeln!(out, "unverified = [{}]", facts.join(", "));
    let own = |name: &str| ["client_id", "client_secret"].contains(&name);
    let params: Vec<_> = request
        .params
        .all
        .iter()
        .filter(|param| !own(&param.name))
        .collect();
    if !params.is_empty() {
        out.push_str("\n[about.params]\n");
    }
    for param in params {
        let says = quoted(&param.says);
        let value = match param.secret {
            true => table([("says", says), ("secret", "true".into())]),
            false => says,
        };
        let _ = writeln!(out, "{} = {value}", param.name);
    }
    let list = |secret: bool| {
        let all = request
            .params
            .all
            .iter()
            .filter(|param| param.secret == secret);
        let names: Vec<_> = all.map(|param| param.name.as_str()).collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    };
    notes.push(format!(
        "parameters that are secrets: {}; others: {}",
        list(true),
        list(false)
    ));
}
