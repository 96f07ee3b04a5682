//! Values of fields and headers: what is a credential or a sample in them becomes a parameter.

use crate::{
    learned::Refusal,
    naming::{self, Params, is_secret, letters},
    placeholder::{self, Part},
    template::{Piece, Template},
};

/// The value of a field or a header, with parameters in place of credentials and samples.
pub(crate) fn value(
    params: &mut Params,
    name: &str,
    text: &str,
    notes: &mut Vec<String>,
) -> Result<Template, Refusal> {
    let parts = placeholder::parts(text);
    let is_own = is_secret(name) || naming::is_identity(name);
    let said = naming::words(name).join(" ");
    if letters(name).ends_with("requestid") || letters(name).ends_with("correlationid") {
        return Ok(Template::hole("uuid"));
    }
    if let [Part::Text(text)] = &*parts {
        let is_word = placeholder::is_word_for_value(text);
        let is_sample = placeholder::looks_like_a_sample(text);
        if !is_own && !is_word && !is_sample {
            notes.push(format!(
                "{name} is sent as a constant, as the example shows it"
            ));
            return Ok(Template::text(text));
        }
        if !is_word {
            notes.push(format!(
                "the value of {name} looks like a sample; a parameter replaces it"
            ));
        }
        let secret = is_secret(name) || !is_own && is_sample && !text.contains('@');
        return Ok(Template::hole(&params.add(
            &naming::param(name),
            secret,
            &said,
        )));
    }
    let is_only = parts.len() == 1;
    let mut pieces = Vec::new();
    for part in parts {
        pieces.push(match part {
            Part::Text(text) => Piece::Text(text),
            Part::Hole(hint) if letters(&hint) == "uuid" => Piece::Hole("uuid".into()),
            Part::Hole(hint) if letters(&hint).contains("timestamp") => {
                return Err(Refusal::new(
                    format!("{name} is a time, and the text does not show its form"),
                    "write it in the file by hand, such as {now} or {now|%Y-%m-%dT%H:%M:%SZ}",
                ));
            }
            Part::Hole(hint) => {
                let is_known = hint.starts_with("substitution_");
                let of = if is_only && is_own || is_known {
                    name
                } else {
                    &hint
                };
                let secret = is_secret(name) || is_secret(&hint);
                let words = naming::words(of).join(" ");
                Piece::Hole(params.add(&naming::param(of), secret, &words))
            }
        });
    }
    Ok(Template { pieces })
}

/// Refuses the name of a signature.
pub(crate) fn refuse_signature(name: &str, place: &str) -> Result<(), Refusal> {
    let letters = letters(name);
    match &*letters {
        "clientassertion" | "assertion" => Err(assertion()),
        "sign" | "xsign" | "hash" | "hmac" | "digest" | "signedheaders" => {
            Err(Refusal::signed(place))
        }
        _ if letters.ends_with("signature") || letters.contains("hmac") => {
            Err(Refusal::signed(place))
        }
        _ => Ok(()),
    }
}

/// For a JWT that the client signs.
pub(crate) fn assertion() -> Refusal {
    Refusal::new(
        "the request carries a JWT that the client signs, and the example does not show what is in it",
        "write [jwt] in the file by hand, as the guide shows, or use kind = \"oauth2\" with \
         private_key_jwt",
    )
}
