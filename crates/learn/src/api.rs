//! Reads the API call: how it carries the token, and where the API is.

use crate::{
    address::address as address_of,
    answer::Answer,
    curl,
    learned::Refusal,
    naming::letters,
    placeholder::{self, Part},
    request::Request,
    shell,
    template::{Piece, Template},
    value::{refuse_signature, value as value_of},
};

/// What an API call shows.
#[derive(Debug, Default)]
pub(crate) struct Api {
    /// The headers that carry the token, and those that belong to it; empty if nothing was found.
    pub(crate) headers: Vec<(String, Template)>,
    pub(crate) query: Vec<(String, Template)>,
    pub(crate) basic: Option<(Template, Template)>,
    /// The API's base URL.
    pub(crate) base: Option<Template>,
}

impl Api {
    /// Whether the call shows how the token is sent.
    pub(crate) fn has_token(&self) -> bool {
        let mut values = self.headers.iter().chain(&self.query);
        values.any(|(_, value)| value.has("token")) || self.basic.is_some()
    }

    /// Whether it is sent as RFC 6750 says, and nothing with it.
    pub(crate) fn is_usual(&self) -> bool {
        let usual = Template {
            pieces: vec![Piece::Text("Bearer ".into()), Piece::Hole("token".into())],
        };
        let is_bearer = match &*self.headers {
            [(name, value)] => name.eq_ignore_ascii_case("authorization") && *value == usual,
            _ => false,
        };
        !self.has_token() || is_bearer && self.query.is_empty() && self.basic.is_none()
    }
}

pub(crate) fn read(
    text: &str,
    answer: &Answer,
    request: &mut Request,
    notes: &mut Vec<String>,
) -> Result<Api, Refusal> {
    // Those of headers are the file's only if the call shows the token as well.
    let mut params = request.params.clone();
    let sent = curl::parse(&shell::only_curl(text)?)?;
    let sample = answer.sample.as_deref();
    let is_token = |text: &str| match &*placeholder::parts(text) {
        [Part::Hole(hint)] => {
            let hint = letters(hint);
            ["token", "jwt", "bearer", "session"]
                .iter()
                .any(|word| hint.contains(word))
        }
        _ => sample == Some(text),
    };
    let mut api = Api::default();
    for (name, value) in &sent.headers {
        refuse_signature(name, &format!("the API call's header {name}"))?;
        let lower = name.to_ascii_lowercase();
        // A placeholder may contain a space as well.
        let is_scheme = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let (scheme, rest) = match value.split_once(' ') {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest.trim()),
            _ => ("", value.as_str()),
        };
        let is_bearer = lower == "authorization" && scheme.eq_ignore_ascii_case("bearer");
        let names_token = lower.ends_with("token") && placeholder_or_sample(value);
        if is_bearer || is_token(rest) || names_token {
            let mut pieces = Vec::new();
            if !scheme.is_empty() && !names_token {
                pieces.push(Piece::Text(format!("{scheme} ")));
            }
            pieces.push(Piece::Hole("token".into()));
            api.headers.push((name.clone(), Template { pieces }));
            continue;
        }
        let ignored = [
            "accept",
            "content-type",
            "content-length",
            "host",
            "user-agent",
            "cache-control",
            "accept-encoding",
            "accept-language",
            "connection",
            "postman-token",
            "cookie",
        ];
        if ignored.contains(&&*lower) {
            continue;
        }
        if lower == "authorization" {
            notes.push("the API call's Authorization shows no token, and was left out".into());
            continue;
        }
        let value = value_of(&mut params, name, value, notes)?;
        api.headers.push((name.clone(), value));
    }
    let (address, query) = sent.url.split_once('?').unwrap_or((&sent.url, ""));
    for (name, value) in crate::body::pairs(query) {
        let names_token = letters(&name).ends_with("token") && placeholder_or_sample(&value);
        if is_token(&value) || names_token {
            api.query.push((name, Template::hole("token")));
        }
    }
    if let Some(user) = &sent.user {
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        let side = |text: &str| match is_token(text) {
            true => Template::hole("token"),
            false => Template::text(text),
        };
        let both = (side(user), side(password));
        let is_known = both.0.has("token") || both.1.has("token");
        let is_fixed =
            |text: &str, side: &Template| side.has("token") || !placeholder_or_sample(text);
        if is_known && is_fixed(user, &both.0) && is_fixed(password, &both.1) {
            api.basic = Some(both);
        }
    }
    let address = base(address);
    // `about.api` may name parameters that no request uses; they are not the file's.
    let mut others = params.clone();
    api.base = address_of(&mut others, &address, notes).ok();
    match &api.base {
        Some(base) if shows_a_sample(&request.url, base) => {
            api.base = None;
            notes.push(
                "the host of the API call contains a sample where that of the token request has a \
                 parameter; write api into the file"
                    .into(),
            );
        }
        _ => notes.push(
            "api is the start of the URL of the API call; check that all of the API is below it"
                .into(),
        ),
    }
    if !api.has_token() {
        notes.push("the API call shows no token; the file assumes Authorization: Bearer".into());
        api.headers.clear();
    } else {
        request.params = params;
    }
    Ok(api)
}

fn placeholder_or_sample(value: &str) -> bool {
    let is_hole = |part: &Part| matches!(part, Part::Hole(_));
    !value.is_empty()
        && (placeholder::parts(value).iter().any(is_hole)
            || placeholder::is_word_for_value(value)
            || placeholder::looks_like_a_sample(value))
}

/// Whether a host's first label is a text where that of the token request is a parameter, below the same
/// domain.
fn shows_a_sample(token: &Template, api: &Template) -> bool {
    let ([_, Piece::Hole(_), Piece::Text(below), ..], [Piece::Text(api), ..]) =
        (&*token.pieces, &*api.pieces)
    else {
        return false;
    };
    let domain = below.split('/').next().unwrap_or_default();
    let host = api.trim_start_matches("https://").split('/').next();
    let label = host.and_then(|host| host.strip_suffix(domain));
    domain.len() > 1 && label.is_some_and(|label| !label.is_empty() && !label.contains("api"))
}

/// The origin, and the version of the API if the path begins with one.
fn base(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("https", address));
    let mut segments = rest.split('/');
    let mut base = format!("{scheme}://{}", segments.next().unwrap_or_default());
    let mut open = String::new();
    for segment in segments {
        let is_version = segment.strip_prefix(['v', 'V']).is_some_and(|number| {
            !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.')
        });
        open.push('/');
        open.push_str(segment);
        if is_version {
            base.push_str(&open);
            return base;
        }
        if !["api", "rest", "services", "public"].contains(&segment) {
            return base;
        }
        base.push_str(&open);
        open.clear();
    }
    base
}
