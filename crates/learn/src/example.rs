//! Writes the examples of a vendor file, with values of their own: the request as the command sends
//! it, the parts of the response that the file reads, and the refusal.

use std::fmt::Write as _;

use base64::Engine as _;
use serde_json::{Map, Value};

use crate::{
    answer::Place,
    body::{Encoding, Field, Fields},
    naming::Params,
    place::Path,
    placeholder,
    request::{Auth, Request},
    toml::{inline, quoted, table},
    whole::Whole,
};

const TOKEN: &str = "t-1";

/// The exchange that returns a token.
pub(crate) fn token(whole: &Whole<'_>, out: &mut String) {
    out.push_str("\n[[example]]\n");
    exchange(whole.request, out);
    let answer = whole.answer;
    let mut response = Vec::new();
    if answer.status != 200 {
        response.push(("status", answer.status.to_string()));
    }
    let mut body = Value::Object(Map::new());
    match &answer.token {
        Place::Whole => response.push(("text", quoted(TOKEN))),
        Place::Header(name) => {
            response.push(("headers", table([(name.as_str(), quoted(TOKEN))])));
        }
        Place::Body(path) => path.put(&mut body, TOKEN.into()),
    }
    let mut expect = vec![("token", quoted(TOKEN))];
    if let Some((path, kind)) = &answer.token_type
        && kind.eq_ignore_ascii_case("bearer")
    {
        path.put(&mut body, kind.as_str().into());
    }
    if let Some(expires) = &answer.expires {
        expires.path.put(&mut body, expires.sample.clone());
        expect.push(("lifetime", expires.seconds.to_string()));
    }
    if let Some((path, host)) = &answer.base_url {
        let url = format!("https://eu.{host}");
        path.put(&mut body, url.as_str().into());
        expect.push(("base_url", quoted(&format!("{url}/"))));
    }
    if let Some(ok) = whole.ok {
        ok.path.put(&mut body, ok.success.clone());
    }
    if answer.token != Place::Whole {
        response.push(("json", inline(&body)));
    }
    let _ = writeln!(out, "response = {}", table(response));
    if let Some(api) = whole
        .api
        .filter(|api| !api.is_usual() && api.basic.is_none())
    {
        let params = &whole.request.params;
        let headers = api.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), quoted(&value.filled(params))));
        let mut attach = Vec::new();
        if !api.headers.is_empty() {
            attach.push(("headers", table(headers)));
        }
        if !api.query.is_empty() {
            let pairs = api
                .query
                .iter()
                .map(|(name, value)| (name, value.filled(params)));
            attach.push(("query", quoted(&encoded(pairs))));
        }
        expect.push(("attach", table(attach)));
    }
    let _ = writeln!(out, "expect = {}", table(expect));
}

/// The exchange that is refused.
pub(crate) fn refusal(whole: &Whole<'_>, out: &mut String) {
    let Some(refused) = whole.refused else {
        return;
    };
    out.push_str("\n[[example]]\n");
    if refused.status.is_none() {
        out.push_str("assumed = true # the documentation does not show the status\n");
    }
    exchange(whole.request, out);
    let mut body = Value::Object(Map::new());
    let mut error = Vec::new();
    if let Some(ok) = whole.ok {
        ok.path.put(&mut body, ok.failure.clone());
    }
    for (name, part) in [("code", &refused.code), ("reason", &refused.reason)] {
        if let Some((path, value)) = part {
            let value = match value.as_str() {
                Some(text) if text.contains(' ') || placeholder::looks_like_a_sample(text) => {
                    Value::from("refused")
                }
                _ => value.clone(),
            };
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            error.push((name, quoted(&text)));
            path.put(&mut body, value);
        }
    }
    if let Some(path) = &refused.message {
        let message = "The vendor says why";
        path.put(&mut body, message.into());
        error.push(("message", quoted(message)));
    }
    if refused.client_code().is_some() {
        error.push(("invalid_client", "true".into()));
    }
    let status = refused.status.unwrap_or(401).to_string();
    let response = table([("status", status), ("json", inline(&body))]);
    let _ = writeln!(out, "response = {response}\nerror = {}", table(error));
}

/// What is given, and the request that follows.
fn exchange(request: &Request, out: &mut String) {
    let params = &request.params;
    let given = params.all.iter().map(|param| {
        let sample = params.sample(&param.name);
        (param.name.as_str(), quoted(&sample))
    });
    if !params.all.is_empty() {
        let _ = writeln!(out, "given = {}", table(given));
    }
    let mut entries = Vec::new();
    if request.method != "POST" {
        entries.push(("method", quoted(&request.method)));
    }
    let mut fields: Vec<(String, Value)> = Vec::new();
    if let Some(grant_type) = &request.grant_type {
        fields.push(("grant_type".into(), grant_type.as_str().into()));
    }
    if request.auth == Auth::Body {
        for name in ["client_id", "client_secret"] {
            fields.push((name.into(), params.sample(name).into()));
        }
    }
    if !request.scopes.is_empty() {
        // Biped sends scopes in order.
        let mut scopes = request.scopes.clone();
        scopes.sort();
        scopes.dedup();
        fields.push(("scope".into(), scopes.join(request.separator).into()));
    }
    fields.extend(filled(&request.fields, params));
    let mut query = filled(&request.query, params);
    if request.encoding == Encoding::Query {
        query.append(&mut fields);
    }
    entries.push(("url", quoted(&url(request, &query))));
    let mut headers: Vec<_> = Vec::new();
    if let Auth::Basic(user, password) = &request.auth {
        let pair = format!("{}:{}", user.filled(params), password.filled(params));
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        headers.push(("authorization", quoted(&format!("Basic {pair}"))));
    }
    for (name, value) in &request.headers {
        headers.push((name.as_str(), quoted(&value.filled(params))));
    }
    if !headers.is_empty() {
        entries.push(("headers", table(headers)));
    }
    match request.encoding {
        Encoding::Form => entries.push(("form", quoted(&encoded(texts(&fields))))),
        Encoding::Json => {
            let mut body = Value::Object(Map::new());
            for (name, value) in fields {
                Path::of_field(&name).put(&mut body, value);
            }
            entries.push(("json", inline(&body)));
        }
        Encoding::Text => {
            let body = request.body.as_ref().map(|body| body.filled(params));
            entries.push(("text", quoted(&body.unwrap_or_default())));
        }
        Encoding::Query | Encoding::None => {}
    }
    let _ = writeln!(out, "request = {}", table(entries));
}

fn url(request: &Request, query: &[(String, Value)]) -> String {
    let text = request.url.filled(&request.params);
    let Ok(mut url) = url::Url::parse(&text) else {
        return text;
    };
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(texts(query));
    }
    url.into()
}

fn filled(fields: &Fields, params: &Params) -> Vec<(String, Value)> {
    let all = fields.iter();
    all.map(|(name, field)| (name.clone(), value(field, params)))
        .collect()
}

fn value(field: &Field, params: &Params) -> Value {
    match field {
        Field::Text(text) => text.filled(params).into(),
        Field::Number(text) => text
            .filled(params)
            .parse::<u64>()
            .unwrap_or_default()
            .into(),
        Field::Fixed(value) => value.clone(),
        Field::List(all) => all.iter().map(|field| value(field, params)).collect(),
    }
}

fn texts(fields: &[(String, Value)]) -> impl Iterator<Item = (&str, String)> {
    fields.iter().map(|(name, value)| {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (name.as_str(), text)
    })
}

fn encoded(pairs: impl Iterator<Item = (impl AsRef<str>, String)>) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(pairs).finish()
}
