//! The page of one vendor: for people, as Markdown, and for programs.

use std::fmt::Write as _;

use biped::dialect::{About, Dialect, Limits, Param, Scopes, Source, VendorFile, Verify};
use biped::provider::wire::Escaped;
use serde::Serialize;

use crate::{environment::quoted, words::in_words};

/// A part of the page: its heading, and its lines.
struct Part {
    heading: &'static str,
    lines: Vec<String>,
}

/// The page as a table for biped.toml, after comments that describe the vendor.
pub(super) fn text(entry: &VendorFile, dialect: &Dialect) -> String {
    let mut out = String::new();
    if let Some(about) = dialect.about() {
        let _ = writeln!(out, "# {}", Escaped(&heading(about)));
        for Part { heading, lines } in parts(entry, dialect, about) {
            let _ = writeln!(out, "#\n# {heading}:");
            for line in lines {
                let _ = writeln!(out, "#   {}", Escaped(&line));
            }
        }
        out.push('\n');
    }
    out.push_str(&entry.configuration());
    out
}

/// The page as Markdown.
pub(super) fn markdown(entry: &VendorFile, dialect: &Dialect) -> String {
    let mut out = String::new();
    if let Some(about) = dialect.about() {
        let _ = writeln!(out, "# {}", heading(about));
        for Part { heading, lines } in parts(entry, dialect, about) {
            let _ = writeln!(out, "\n## {heading}\n");
            let mark = if lines.len() > 1 { "- " } else { "" };
            for line in lines {
                let _ = writeln!(out, "{mark}{line}");
            }
        }
        out.push_str("\n## biped.toml\n\n");
    }
    let _ = write!(out, "```toml\n{}```\n", entry.configuration());
    out
}

/// The vendor's title, and which of its sets of credentials the file is for.
fn heading(about: &About) -> String {
    titled(about.title(), about.variant())
}

pub(super) fn titled(title: &str, variant: Option<&str>) -> String {
    match variant {
        Some(variant) => format!("{title} ({variant})"),
        None => title.to_owned(),
    }
}

fn parts(entry: &VendorFile, dialect: &Dialect, about: &About) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut part = |heading, lines: Vec<String>| {
        if !lines.is_empty() {
            parts.push(Part { heading, lines });
        }
    };
    let one = |text: Option<&str>| text.map(str::to_owned).into_iter().collect();
    part("Credentials", one(about.credentials()));
    part("Scopes", about.scopes().map(scopes).unwrap_or_default());
    part("How to try it", trial(entry, about));
    part("Token requests", token_requests(dialect, about));
    part("API", one(about.api()));
    let notes = about.notes().into_iter().flat_map(str::lines);
    part("Notes", notes.map(str::to_owned).collect());
    let unverified: Vec<_> = unverified(about).map(fact_in_words).collect();
    let unverified = (!unverified.is_empty()).then(|| unverified.join(", "));
    part("Unverified", one(unverified.as_deref()));
    part("Sources", sources(about));
    parts
}

/// The facts that no source says. How to get the credentials is one wherever the file does not say it.
fn unverified(about: &About) -> impl Iterator<Item = &str> {
    let is_untold =
        about.credentials().is_none() && !about.unverified().any(|fact| fact == CREDENTIALS);
    about.unverified().chain(is_untold.then_some(CREDENTIALS))
}

const CREDENTIALS: &str = "credentials";

/// A fact that a file may not have verified, in the words of the page.
fn fact_in_words(fact: &str) -> &str {
    match fact {
        "request" => "the request",
        "answer" => "the response",
        "encoding" => "how the credentials are encoded in Basic",
        "lifetime" => "how long a token lives",
        "refusal" => "what a refusal looks like",
        "expired" => "which responses reject a token",
        "api" => "where the API is",
        "scopes" => "the scopes",
        "verify" => "a request to try a token with",
        CREDENTIALS => "where the vendor issues the credentials",
        "limits" => "how many token requests are allowed",
        other => other,
    }
}

fn scopes(scopes: &Scopes) -> Vec<String> {
    match scopes {
        Scopes::Listed(all) => all
            .iter()
            .map(|(name, says)| format!("{name}: {says}"))
            .collect(),
        Scopes::Described(says) => vec![says.clone()],
        _ => Vec::new(),
    }
}

fn trial(entry: &VendorFile, about: &About) -> Vec<String> {
    let name = entry.name();
    let mut lines = vec![format!(
        "fill in the table below, then run `biped check {name}`"
    )];
    if let Some(verify) = about.verify() {
        let (method, path) = (verify.method(), quoted(verify.path()));
        let status = verify.status();
        lines.push(format!(
            "`biped call --include {name} {method} {path}` returns the status {status} if the token is valid"
        ));
    }
    lines
}

fn token_requests(dialect: &Dialect, about: &About) -> Vec<String> {
    let mut lines = vec![dialect.url()];
    lines.retain(|url| !url.is_empty());
    if let Some(limits) = about.limits() {
        let per = match limits.period().as_secs() {
            1 => "a second".to_owned(),
            60 => "a minute".to_owned(),
            3_600 => "an hour".to_owned(),
            86_400 => "a day".to_owned(),
            _ => in_words(limits.period()),
        };
        lines.push(format!("at most {} in {per}", limits.requests()));
    }
    if about.repeats_token() {
        lines.push("a further request returns the same token until it expires".into());
    }
    if about.allows_one_token() {
        lines.push("a new token ends the earlier one".into());
    }
    lines
}

fn sources(about: &About) -> Vec<String> {
    let source = |source: &Source| {
        let says: Vec<_> = source.says().collect();
        let whose = if source.is_own() {
            "the vendor's own"
        } else {
            "another's"
        };
        format!("{} ({whose}): {}", source.url(), says.join(", "))
    };
    let mut lines: Vec<_> = about.sources().iter().map(source).collect();
    if lines.is_empty() {
        lines.push(about.docs().to_owned());
    }
    if let Some(checked) = about.checked() {
        let live = match about.is_live() {
            true => "and tried with the vendor",
            false => "but not tried with the vendor",
        };
        lines.push(format!("checked on {checked}, {live}"));
    }
    lines
}

/// A vendor of the catalogue, and what it needs, for programs.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    name: &'static str,
    title: &'static str,
    variant: Option<&'a str>,
    aliases: Vec<&'a str>,
    token_endpoint: String,
    docs: Option<&'a str>,
    checked: Option<&'a str>,
    live: bool,
    credentials: Option<&'a str>,
    scopes: Option<ShownScopes<'a>>,
    verify: Option<ShownVerify<'a>>,
    limits: Option<ShownLimits>,
    same_token: bool,
    one_token: bool,
    unverified: Vec<&'a str>,
    sources: Vec<ShownSource<'a>>,
    tags: Vec<&'a str>,
    api: Option<&'a str>,
    notes: Option<&'a str>,
    client_id: bool,
    client_secret: bool,
    client_certificate: bool,
    params: Vec<ShownParam<'a>>,
    configuration: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ShownScopes<'a> {
    Listed(std::collections::BTreeMap<&'a str, &'a str>),
    Described(&'a str),
}

#[derive(Serialize)]
struct ShownVerify<'a> {
    method: &'a str,
    path: &'a str,
    status: u16,
}

#[derive(Serialize)]
struct ShownLimits {
    requests: u32,
    seconds: u64,
}

#[derive(Serialize)]
struct ShownSource<'a> {
    url: &'a str,
    says: Vec<&'a str>,
    own: bool,
}

#[derive(Serialize)]
struct ShownParam<'a> {
    name: &'a str,
    says: &'a str,
    secret: bool,
    optional: bool,
}

impl<'a> Shown<'a> {
    pub(super) fn of(entry: &VendorFile, dialect: &'a Dialect) -> Self {
        let about = dialect.about();
        let param = |param: &'a Param| ShownParam {
            name: param.name(),
            says: param.says(),
            secret: param.is_secret(),
            optional: param.is_optional(),
        };
        let scopes = |scopes: &'a Scopes| match scopes {
            Scopes::Listed(all) => {
                let all = all.iter().map(|(name, says)| (&**name, &**says));
                Some(ShownScopes::Listed(all.collect()))
            }
            Scopes::Described(says) => Some(ShownScopes::Described(says)),
            _ => None,
        };
        let verify = |verify: &'a Verify| ShownVerify {
            method: verify.method().as_str(),
            path: verify.path(),
            status: verify.status(),
        };
        let limits = |limits: Limits| ShownLimits {
            requests: limits.requests(),
            seconds: limits.period().as_secs(),
        };
        let source = |source: &'a Source| ShownSource {
            url: source.url(),
            says: source.says().collect(),
            own: source.is_own(),
        };
        let sources = about.map_or(&[][..], About::sources);
        Self {
            name: entry.name(),
            title: entry.title(),
            variant: about.and_then(About::variant),
            aliases: about.map_or_else(Vec::new, |about| about.aliases().collect()),
            token_endpoint: dialect.url(),
            docs: about.map(About::docs),
            checked: about.and_then(About::checked),
            live: about.is_some_and(About::is_live),
            credentials: about.and_then(About::credentials),
            scopes: about.and_then(About::scopes).and_then(scopes),
            verify: about.and_then(About::verify).map(verify),
            limits: about.and_then(About::limits).map(limits),
            same_token: about.is_some_and(About::repeats_token),
            one_token: about.is_some_and(About::allows_one_token),
            unverified: about.map_or_else(Vec::new, |about| unverified(about).collect()),
            sources: sources.iter().map(source).collect(),
            tags: about.map_or_else(Vec::new, |about| about.tags().collect()),
            api: about.and_then(About::api),
            notes: about.and_then(About::notes),
            client_id: dialect.uses_client_id(),
            client_secret: dialect.uses_client_secret(),
            client_certificate: dialect.uses_client_certificate(),
            params: dialect.params().map(param).collect(),
            configuration: entry.configuration(),
        }
    }
}
