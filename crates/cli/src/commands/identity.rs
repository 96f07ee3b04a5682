//! `biped identity`, and what `biped check` says about proofs.

use biped::{
    Timestamp, TokenSource,
    provider::{Proof, SystemClock, wire},
};
use serde::Serialize;

use crate::words::{in_words, rfc3339};
use crate::{
    args::{self, Format},
    failure::{Failure, Outcome},
    output,
    session::{Session, now},
};

pub(crate) fn run(session: &Session, args: &args::Identity) -> Outcome {
    let biped = session.biped()?;
    let source = args.selection.source(&biped, &args.name)?;
    session.warn(&source);
    let proof = session.block_on(session.limited(&args.name, source.proof()))?;
    let printed = Printed {
        provider: &args.name,
        proof: Shown::of(&proof),
        warnings: warnings(&proof),
    };
    match args.report.format {
        Format::Json => output::json(&printed),
        Format::Text => {
            let mut all = lines(&proof);
            all.extend(printed.warnings.into_iter().map(|text| ("warning", text)));
            let all = all.into_iter().map(|(name, text)| {
                let text = wire::vendor_text(&text).unwrap_or_default();
                format!("{name:<8} {text}\n")
            });
            output::text(&all.collect::<String>())
        }
    }
}

/// How a provider proves who it is, as far as that can be told: where its source fails, the method and where
/// that source is.
pub(super) async fn proof_of(session: &Session, name: &str, source: &TokenSource) -> Proof {
    let proof = session.limited(name, source.proof()).await;
    proof.unwrap_or_else(|failure| {
        let mut proof = Proof::default();
        proof.method = source.provider().proof_method().map(Into::into);
        if let Failure::Biped(error) = failure {
            proof.source = error.token_source().map(Into::into);
        }
        proof
    })
}

/// A place of a credential, and whether it could be read.
#[derive(Serialize)]
pub(super) struct Reference {
    reference: String,
    readable: bool,
    error: Option<String>,
}

impl Reference {
    /// The place for people.
    pub(super) fn line(&self) -> String {
        match &self.error {
            None => self.reference.clone(),
            Some(error) => format!("{}: {error}", self.reference),
        }
    }
}

/// The places of a provider's credentials. After a fetch that worked, only those are read again that it may
/// have left unread: a list of secrets ends with the first that the server takes.
pub(super) async fn references_of(
    session: &Session,
    name: &str,
    source: &TokenSource,
    worked: bool,
) -> Vec<Reference> {
    let mut all: Vec<Reference> = Vec::new();
    for place in source.provider().id().references() {
        let reference = place.to_string();
        if all.iter().any(|known| known.reference == reference) {
            continue;
        }
        let error = if worked && !place.is_one_of_several() {
            None
        } else {
            let reading = async { place.read(&SystemClock).await.map(drop) };
            match session.limited(name, reading).await {
                Ok(()) => None,
                Err(Failure::Biped(error)) => Some(error.message().to_owned()),
                Err(other) => Some(other.message()),
            }
        };
        all.push(Reference {
            reference,
            readable: error.is_none(),
            error,
        });
    }
    all
}

#[derive(Serialize)]
struct Printed<'a> {
    provider: &'a str,
    proof: Shown,
    warnings: Vec<String>,
}

/// A proof as JSON; what is unknown is null.
#[derive(Serialize, Default)]
pub(super) struct Shown {
    method: Option<String>,
    source: Option<String>,
    issuer: Option<String>,
    subject: Option<String>,
    audience: Option<Vec<String>>,
    expires_at: Option<String>,
}

impl Shown {
    pub(super) fn of(proof: &Proof) -> Self {
        let audience = Some(proof.audience.clone());
        Self {
            method: proof.method.as_deref().map(Into::into),
            source: proof.source.clone(),
            issuer: proof.issuer.clone(),
            subject: proof.subject.clone(),
            audience: audience.filter(|all| !all.is_empty()),
            expires_at: proof.expires_at.and_then(rfc3339),
        }
    }
}

/// What the operator should know about a proof.
pub(super) fn warnings(proof: &Proof) -> Vec<String> {
    let mut all = proof.warnings.clone();
    let now = now();
    match proof.expires_at {
        Some(expiry) if expiry <= now => all.push("the assertion has expired".into()),
        Some(expiry) if expiry.since(now).as_secs() < 60 => {
            all.push("the assertion is valid for less than a minute".into());
        }
        _ => {}
    }
    all
}

/// A proof for people, one fact per line.
pub(super) fn lines(proof: &Proof) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let method = proof.method.as_deref();
    match (method, &proof.source) {
        (_, Some(source)) => {
            let what = method.unwrap_or("credentials");
            lines.push(("proof", format!("{what} from {source}")));
        }
        (Some(method), None) => lines.push(("proof", method.into())),
        (None, None) => {}
    }
    lines.extend(proof.issuer.clone().map(|text| ("issuer", text)));
    lines.extend(proof.subject.clone().map(|text| ("subject", text)));
    if !proof.audience.is_empty() {
        lines.push(("audience", proof.audience.join(" ")));
    }
    let expiry = |at: Timestamp| {
        let (at_text, now) = (rfc3339(at)?, now());
        Some(match at > now {
            true => format!("{at_text} (in {})", in_words(at.since(now))),
            false => format!("{at_text} ({} ago)", in_words(now.since(at))),
        })
    };
    lines.extend(
        proof
            .expires_at
            .and_then(expiry)
            .map(|text| ("expires", text)),
    );
    lines
}
