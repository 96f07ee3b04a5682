//! Headers of a request.

use crate::{
    body::Encoding,
    learned::Refusal,
    naming::{self, Params, letters},
    placeholder::{self, Part},
    template::{Piece, Template},
    value::{assertion, refuse_signature, value as value_of},
};

/// What a header says.
pub(crate) enum Headed {
    /// Nothing that a vendor file has to say.
    Nothing,
    /// A header with this value.
    Header(Template),
    /// A user and a password.
    Basic(Template, Template),
}

/// A user and a password in Basic.
pub(crate) fn basic(params: &mut Params, is_grant: bool, text: &str) -> Headed {
    let (user, password) = text.split_once(':').unwrap_or((text, "<password>"));
    let mut side = |text: &str, usual: &str, secret: bool| -> Template {
        if text.is_empty() {
            return Template::text("");
        }
        let name = match &*placeholder::parts(text) {
            [Part::Hole(hint)] if !is_grant && !letters(hint).contains("client") => {
                naming::param(hint)
            }
            _ => usual.to_owned(),
        };
        Template::hole(&params.add(&name, secret, "the credential"))
    };
    let has_password = !password.is_empty();
    let user = side(user, "client_id", !has_password);
    let password = side(password, "client_secret", true);
    Headed::Basic(user, password)
}

/// Reads a header. `is_grant`: the request has the grant of RFC 6749, whose credentials are a client's.
pub(crate) fn header(
    params: &mut Params,
    (encoding, is_grant): (Encoding, bool),
    (name, value): (&str, &str),
    notes: &mut Vec<String>,
) -> Result<Headed, Refusal> {
    let lower = name.to_ascii_lowercase();
    refuse_signature(name, &format!("the header {name}"))?;
    let plain = value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match &*lower {
        "content-length" | "host" | "connection" | "accept-encoding" | "accept-language"
        | "cache-control" | "pragma" | "postman-token" | "origin" | "referer" => {
            return Ok(Headed::Nothing);
        }
        "accept" if ["application/json", "*/*", "text/plain"].contains(&&*plain) => {
            return Ok(Headed::Nothing);
        }
        "content-type" => {
            let usual = match encoding {
                Encoding::Form => "application/x-www-form-urlencoded",
                Encoding::Json => "application/json",
                Encoding::Text => "text/plain",
                Encoding::Query | Encoding::None => return Ok(Headed::Nothing),
            };
            if plain != usual && !plain.is_empty() {
                return Ok(Headed::Header(Template::text(value)));
            }
            return Ok(Headed::Nothing);
        }
        "user-agent" => {
            notes.push(
                "the User-Agent was left out; add it to headers if the vendor requires one".into(),
            );
            return Ok(Headed::Nothing);
        }
        "cookie" => {
            return Err(Refusal::beyond(
                "the request carries a cookie, which a vendor file can't express",
            ));
        }
        "authorization" => return authorization(params, is_grant, value),
        _ => {}
    }
    Ok(Headed::Header(value_of(params, name, value, notes)?))
}

fn authorization(params: &mut Params, is_grant: bool, value: &str) -> Result<Headed, Refusal> {
    let (scheme, rest) = match value.split_once(' ') {
        Some((scheme, rest)) => (scheme, rest.trim()),
        None => ("", value),
    };
    let lower = scheme.to_ascii_lowercase();
    let signs = ["hmac", "aws4", "signature", "digest", "mac"];
    if signs.iter().any(|start| lower.starts_with(start)) || rest.contains("oauth_signature") {
        return Err(Refusal::signed("Authorization"));
    }
    if lower == "basic"
        && let Some(pair) = basic_pair(rest)
    {
        return Ok(basic(params, is_grant, &pair));
    }
    let hint = match &*placeholder::parts(rest) {
        [Part::Hole(hint)] => hint.clone(),
        [Part::Text(_)] => format!("api {}", if lower == "bearer" { "token" } else { "key" }),
        _ => {
            return Err(Refusal::new(
                "the value of Authorization has several parts",
                "write the file by hand, as the guide shows",
            ));
        }
    };
    if ["jwt", "assertion"]
        .iter()
        .any(|word| letters(&hint).contains(word))
    {
        return Err(assertion());
    }
    let param = params.add(&naming::param(&hint), true, "the credential");
    let mut pieces = Vec::new();
    if !scheme.is_empty() {
        pieces.push(Piece::Text(format!("{scheme} ")));
    }
    pieces.push(Piece::Hole(param));
    Ok(Headed::Header(Template { pieces }))
}

/// What `Basic …` contains, if the text shows it.
fn basic_pair(rest: &str) -> Option<String> {
    use base64::Engine as _;
    let inner = rest.to_lowercase();
    if inner.starts_with("base64(") {
        let start = rest.find('(')?;
        return Some(rest[start + 1..].trim_end_matches(')').to_owned());
    }
    match &*placeholder::parts(rest) {
        [Part::Hole(hint)] => {
            let hint = hint.to_lowercase();
            let words = ["base64", "b64", "encoded", "credential", "basic", "client"];
            let is_pair = hint.contains(':') || words.iter().any(|word| hint.contains(word));
            is_pair.then(|| "<client_id>:<client_secret>".into())
        }
        [Part::Text(text)] => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok();
            let pair = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            let shows = pair.filter(|pair| pair.contains(':'));
            let has_ellipsis = placeholder::is_word_for_value(text);
            shows
                .or_else(|| has_ellipsis.then(String::new))
                .map(|pair| match pair.split_once(':') {
                    Some((_, "")) => "<client_id>:".into(),
                    _ => "<client_id>:<client_secret>".into(),
                })
        }
        _ => None,
    }
}
