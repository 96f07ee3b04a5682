//! URLs: what is a placeholder or a sample in them becomes a parameter.

use crate::{
    learned::Refusal,
    naming::{self, Params, is_secret},
    placeholder::{self, Part, is_uuid, looks_like_a_sample},
    template::{Piece, Template},
};

/// Names of customers that documents make up.
const CUSTOMERS: [&str; 22] = [
    "acme",
    "example",
    "mycompany",
    "yourcompany",
    "company",
    "contoso",
    "tenant",
    "customer",
    "mytenant",
    "yourtenant",
    "subdomain",
    "yoursubdomain",
    "mydomain",
    "yourdomain",
    "domain",
    "organization",
    "myorg",
    "yourorg",
    "account",
    "youraccount",
    "workspace",
    "yourinstance",
];

/// A URL without its query.
pub(crate) fn address(
    params: &mut Params,
    text: &str,
    notes: &mut Vec<String>,
) -> Result<Template, Refusal> {
    let text = match text.split_once("://") {
        Some(("https", rest)) => rest,
        Some(("http", rest)) if is_this_machine(rest) => {
            return Ok(Template::text(text));
        }
        Some(("http", _)) => {
            return Err(Refusal::new(
                "the URL is not https",
                "Biped sends credentials with https only; check whether the vendor accepts it",
            ));
        }
        Some(_) => {
            return Err(Refusal::new("the URL is not https", "check the command"));
        }
        None => text,
    };
    let (host, path) = match placeholder_end(text) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    if host.contains('@') {
        return Err(Refusal::new(
            "the URL contains a user name",
            "pass it with -u instead",
        ));
    }
    let mut pieces = vec![Piece::Text("https://".into())];
    pieces.extend(host_pieces(params, host, notes));
    let mut before = String::new();
    for (at, segment) in path.split('/').enumerate() {
        if at > 0 {
            pieces.push(Piece::Text("/".into()));
        }
        pieces.extend(segment_pieces(params, segment, &before, notes));
        before = segment.to_owned();
    }
    Ok(Template {
        pieces: merged(pieces),
    })
}

fn host_pieces(params: &mut Params, host: &str, notes: &mut Vec<String>) -> Vec<Piece> {
    let parts = placeholder::parts(host);
    if let [Part::Hole(_)] = &*parts {
        let name = params.add("host", false, "the host of the vendor's API");
        return vec![Piece::Hole(name)];
    }
    if [
        "example.com",
        "example.org",
        "example.net",
        "yourdomain.com",
    ]
    .iter()
    .any(|sample| host == *sample || host.ends_with(&format!(".{sample}")))
    {
        notes.push("the URL's host is a sample; the parameter host replaces it".into());
        let name = params.add("host", false, "the host of the vendor's API");
        return vec![Piece::Hole(name)];
    }
    if let Some((label, rest)) = host.split_once('.')
        && rest.contains('.')
        && let [Part::Text(_)] = &*parts
    {
        let known = params.tenant.as_deref() == Some(label);
        let lower = label.to_lowercase();
        let is_sample =
            CUSTOMERS.contains(&&*lower) || lower.starts_with("your-") || lower.starts_with("my-");
        if known || is_sample {
            if !known {
                notes.push(
                    "the first label of the host looks like a customer's name; the parameter account \
                     replaces it"
                        .into(),
                );
            }
            let says = "the account's name in the vendor's host";
            let name = params.add("account", false, says);
            params.tenant = Some(label.to_owned());
            return vec![Piece::Hole(name), Piece::Text(format!(".{rest}"))];
        }
    }
    let mut pieces = Vec::new();
    for part in parts {
        pieces.push(match part {
            Part::Text(text) => Piece::Text(text),
            Part::Hole(hint) => {
                let says = "a part of the vendor's host";
                Piece::Hole(params.add(&naming::param(&hint), false, says))
            }
        });
    }
    pieces
}

fn segment_pieces(
    params: &mut Params,
    segment: &str,
    before: &str,
    notes: &mut Vec<String>,
) -> Vec<Piece> {
    let says = "a part of the URL's path";
    if let Some(name) = segment.strip_prefix(':').filter(|name| !name.is_empty()) {
        return vec![Piece::Hole(params.add(&naming::param(name), false, says))];
    }
    let is_sample = is_random(segment)
        || segment.len() > 3
            && placeholder::is_word_for_value(segment)
            && segment.to_lowercase().starts_with("your");
    if is_sample {
        let name = match before.trim_end_matches('s') {
            "" => "path_id".to_owned(),
            before => naming::param(&format!("{before}_id")),
        };
        notes.push(format!(
            "a part of the URL's path looks like a sample; the parameter {name} replaces it"
        ));
        return vec![Piece::Hole(params.add(&name, false, says))];
    }
    let parts = placeholder::parts(segment).into_iter();
    parts
        .map(|part| match part {
            Part::Text(text) => Piece::Text(text),
            Part::Hole(hint) => {
                let secret = is_secret(&hint);
                Piece::Hole(params.add(&naming::param(&hint), secret, says))
            }
        })
        .collect()
}

/// Whether a part of a path looks like somebody's own: an id, or a key. Names of versions have words.
fn is_random(segment: &str) -> bool {
    let is_word = |part: &str| part.len() > 3 && part.chars().all(|c| c.is_ascii_alphabetic());
    let mut parts = segment.split(['-', '_', '.', '~', '+', '=']);
    is_uuid(segment) || looks_like_a_sample(segment) && !parts.any(is_word)
}

/// Where the path of an address begins, outside of placeholders.
fn placeholder_end(text: &str) -> Option<usize> {
    let mut at = 0;
    for part in placeholder::parts(text) {
        match part {
            Part::Text(literal) => {
                if let Some(slash) = literal.find('/') {
                    return Some(at + slash);
                }
                at += literal.len();
            }
            Part::Hole(_) => {
                let rest = &text[at..];
                let lens = 1..=rest.len();
                let is_whole = |len: &usize| {
                    rest.is_char_boundary(*len)
                        && matches!(&*placeholder::parts(&rest[..*len]), [Part::Hole(_)])
                };
                // `$NAME` is a placeholder at each length; the longest is meant.
                at += match rest.starts_with('$') && !rest.starts_with("${") {
                    true => lens.rev().find(is_whole)?,
                    false => lens.into_iter().find(is_whole)?,
                };
            }
        }
    }
    None
}

fn is_this_machine(rest: &str) -> bool {
    ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|host| rest.starts_with(host))
}

fn merged(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (out.last_mut(), piece) {
            (Some(Piece::Text(before)), Piece::Text(text)) => before.push_str(&text),
            (_, piece) => out.push(piece),
        }
    }
    out
}
