//! Every file of the catalogue says what backs each of its facts, or that nothing does.
#![cfg(feature = "catalogue")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use biped_dialect::{About, Catalogue, Dialect, Example, Scopes, Source};
use toml::de::{DeTable, DeValue};

/// Calls `look` with the name, the dialect and the description of every vendor, and fails with all
/// that it complains of.
fn every_vendor(look: impl Fn(&Dialect, &About) -> Vec<String>) {
    let mut complaints = Vec::new();
    for entry in Catalogue::built_in().entries() {
        let name = entry.name();
        let dialect = entry.dialect().expect(name);
        let about = dialect.about().expect(name);
        let found = look(&dialect, about);
        complaints.extend(found.iter().map(|it| format!("{}: {it}", entry.name())));
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Who is behind a source: two files of one owner, or two pages of one domain, are one witness.
fn witness(source: &Source) -> String {
    let behind = source.url().split_once("://").unwrap().1;
    let mut parts = behind.split('/');
    let host = parts.next().unwrap();
    if ["github.com", "raw.githubusercontent.com"].contains(&host) {
        return parts.next().unwrap().to_lowercase();
    }
    // The pages and the code of one integrator.
    if host.ends_with("nango.dev") {
        return "nangohq".to_owned();
    }
    let labels: Vec<_> = host.rsplitn(3, '.').take(2).collect();
    labels.join(".")
}

fn says(source: &Source, fact: &str) -> bool {
    source.says().any(|it| it == fact)
}

fn is_unverified(about: &About, fact: &str) -> bool {
    about.unverified().any(|it| it == fact)
}

#[test]
fn the_request_and_the_answer_rest_on_the_vendor_or_on_two_others_or_are_unverified() {
    every_vendor(|_, about| {
        let mut complaints = Vec::new();
        for fact in ["request", "answer"] {
            let sources = about.sources().iter().filter(|it| says(it, fact));
            let own = sources.clone().any(Source::is_own);
            let witnesses: BTreeSet<_> = sources.map(witness).collect();
            if !own && witnesses.len() < 2 && !is_unverified(about, fact) {
                complaints.push(format!("nothing backs {fact}"));
            }
        }
        complaints
    });
}

/// Who collects the documents of others, or integrates them.
const COLLECTORS: [&str; 6] = [
    "api-evangelist",
    "apis-guru",
    "flowground",
    "karrioapi",
    "nangohq",
    "timtini",
];

#[test]
fn a_copy_of_a_vendors_document_is_not_the_vendors_own() {
    every_vendor(|_, about| {
        let own = about.sources().iter().filter(|source| source.is_own());
        let copies = own.filter(|source| COLLECTORS.contains(&&*witness(source)));
        copies.map(|it| format!("{} is a copy", it.url())).collect()
    });
}

#[test]
fn what_no_source_says_is_unverified() {
    every_vendor(|dialect, about| {
        let mut complaints = Vec::new();
        let uses_basic = first(dialect).contains("auth = \"basic\"\n");
        let own_basic = first(dialect).contains("basic = { user = \"{username}")
            || first(dialect).contains("basic = { user = \"{app_id}");
        for fact in ["encoding", "lifetime", "refusal", "api", "scopes", "verify"] {
            if fact == "encoding" && (!uses_basic || own_basic) {
                continue;
            }
            let is_said = about.sources().iter().any(|it| says(it, fact));
            if !is_said && !is_unverified(about, fact) {
                complaints.push(format!("nothing backs {fact}"));
            }
            if fact != "encoding" && is_said && is_unverified(about, fact) && has(about, fact) {
                complaints.push(format!("{fact} is both said and unverified"));
            }
        }
        complaints
    });
}

/// The text of a file before `[about]`.
fn first(dialect: &Dialect) -> &'static str {
    let name = dialect.name().strip_suffix(".toml").unwrap();
    let text = Catalogue::built_in().get(name).unwrap().text();
    text.split_once("[about]").unwrap().0
}

fn has(about: &About, fact: &str) -> bool {
    match fact {
        "api" => about.api().is_some(),
        "scopes" => about.scopes().is_some(),
        "verify" => about.verify().is_some(),
        _ => true,
    }
}

#[test]
fn scopes_api_and_verify_are_there_or_unverified() {
    every_vendor(|_, about| {
        let missing = |fact: &&str| !has(about, fact) && !is_unverified(about, fact);
        let facts = ["scopes", "api", "verify"];
        let missing = facts.iter().filter(|fact| missing(fact));
        missing.map(|fact| format!("{fact} is missing")).collect()
    });
}

#[test]
fn every_parameter_and_every_scope_is_explained() {
    every_vendor(|dialect, about| {
        let params = dialect.params().filter(|param| param.says().is_empty());
        let mut silent: Vec<_> = params.map(|param| param.name().to_owned()).collect();
        if let Some(Scopes::Listed(all)) = about.scopes() {
            let scopes = all.iter().filter(|(_, says)| says.is_empty());
            silent.extend(scopes.map(|(name, _)| name.clone()));
        }
        silent
    });
}

#[test]
fn an_example_that_no_source_shows_is_marked() {
    every_vendor(|dialect, about| {
        let mut complaints = Vec::new();
        for example in dialect.examples() {
            let fact = if example.is_refusal() {
                "refusal"
            } else {
                "answer"
            };
            if is_unverified(about, fact) && !example.is_assumed() {
                let line = example.line();
                complaints.push(format!(
                    "line {line}: {fact} is unverified; add assumed = true"
                ));
            }
        }
        complaints
    });
}

/// The standard's own words for a refusal, which say nothing of a vendor.
const CANNED: &str = "Client authentication failed";

#[test]
fn no_refusal_is_invented() {
    every_vendor(|dialect, about| {
        let name = dialect.name().strip_suffix(".toml").unwrap();
        let text = Catalogue::built_in().get(name).unwrap().text();
        let is_shown = dialect.examples().iter().any(Example::is_refusal);
        let mut complaints = Vec::new();
        // Some servers do say it.
        let mut own = about.sources().iter().filter(|source| source.is_own());
        if text.contains(CANNED) && !own.any(|source| says(source, "refusal")) {
            complaints.push("a canned refusal".to_owned());
        }
        if !is_shown && !is_unverified(about, "refusal") {
            complaints.push("refusal is neither shown nor unverified".to_owned());
        }
        complaints
    });
}

#[test]
fn the_examples_of_basic_vendors_show_how_a_secret_is_encoded() {
    let has_all = |value: &DeValue<'_>| match value {
        DeValue::String(text) => [" ", "+", ":"].iter().all(|it| text.contains(it)),
        _ => false,
    };
    every_vendor(|dialect, _| {
        if !first(dialect).contains("auth = \"basic\"\n") {
            return Vec::new();
        }
        let name = dialect.name().strip_suffix(".toml").unwrap();
        let text = Catalogue::built_in().get(name).unwrap().text();
        let (table, _) = DeTable::parse_recoverable(text);
        let DeValue::Array(examples) = table.get_ref()["example"].get_ref() else {
            panic!("{name}");
        };
        let shows = examples.iter().any(|example| {
            let DeValue::Table(given) = example.get_ref()["given"].get_ref() else {
                return false;
            };
            given.values().any(|value| has_all(value.get_ref()))
        });
        match shows {
            true => Vec::new(),
            false => vec!["no secret has a space, a plus sign and a colon".into()],
        }
    });
}
