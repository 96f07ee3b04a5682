//! Lists the files below `vendors`, so that a vendor joins the catalogue by a file there, and indexes
//! them, so that the catalogue is searched without reading them.

#![allow(clippy::print_stdout)] // A build script speaks to cargo on stdout.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

#[path = "src/backing.rs"]
#[allow(dead_code, unreachable_pub)] // The crate uses all of it.
mod backing;

use backing::Backing;

fn main() -> Result<(), Box<dyn Error>> {
    if env::var_os("CARGO_FEATURE_CATALOGUE").is_none() {
        return Ok(());
    }
    let root = env::var("CARGO_MANIFEST_DIR")?;
    let directory = Path::new(&root).join("vendors");
    println!("cargo::rerun-if-changed={}", directory.display());
    let mut names = Vec::new();
    for file in fs::read_dir(&directory)? {
        let name = file?.file_name().into_string();
        if let Some(name) = name.ok().as_deref().and_then(|it| it.strip_suffix(".toml")) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    let mut list = String::from("/// Sorted by name.\npub(crate) const FILES: &[Indexed] = &[\n");
    for name in &names {
        let path = directory.join(format!("{name}.toml"));
        let text = fs::read_to_string(&path)?;
        // Whoever breaks a file is told by the tests, which check all of them.
        let (table, _) = DeTable::parse_recoverable(&text);
        let row = Row::of(name, table.get_ref());
        writeln!(
            list,
            "    Indexed {{ name: {name:?}, text: include_str!({path:?}), title: {:?}, variant: {:?}, \
             token_endpoint: {:?}, words: {:?}, backing: Backing::{:?} }},",
            row.title, row.variant, row.token_endpoint, row.words, row.backing
        )?;
    }
    list.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("vendors.rs"), list)?;
    Ok(())
}

/// What the index says of a vendor.
struct Row<'t> {
    title: &'t str,
    variant: Option<&'t str>,
    token_endpoint: String,
    /// What is searched, in lower case.
    words: String,
    backing: Backing,
}

impl<'t> Row<'t> {
    fn of(name: &'t str, file: &'t DeTable<'_>) -> Self {
        let about = file
            .get("about")
            .and_then(|about| about.get_ref().as_table());
        let said = |key: &str| about.and_then(|about| about.get(key)?.get_ref().as_str());
        let listed = |key: &str| about.map(|about| texts(about, key)).unwrap_or_default();
        let token_endpoint = file.get("url").and_then(|url| url.get_ref().as_str());
        let token_endpoint = without_filters(token_endpoint.unwrap_or_default());
        let (title, variant) = (said("title").unwrap_or(name), said("variant"));
        let host = host(&token_endpoint);
        let names = [name, &host, title].into_iter().chain(variant);
        let words: Vec<_> = names
            .chain(listed("aliases"))
            .chain(listed("tags"))
            .collect();
        let words = words.join(" ").to_lowercase();
        Self {
            title,
            variant,
            token_endpoint,
            words,
            backing: about.map_or(Backing::Unverified, backing),
        }
    }
}

fn backing(about: &DeTable<'_>) -> Backing {
    let is_true = |value: Option<&Spanned<DeValue<'_>>>| {
        value.and_then(|value| value.get_ref().as_bool()) == Some(true)
    };
    let sources = about.get("source").and_then(|all| all.get_ref().as_array());
    let sources = sources.into_iter().flatten();
    let own = sources.filter_map(|source| source.get_ref().as_table());
    let own = own.filter(|source| is_true(source.get("own")));
    let said: Vec<_> = own.flat_map(|source| texts(source, "says")).collect();
    let unverified = texts(about, "unverified");
    Backing::of(
        is_true(about.get("live")),
        |fact| said.contains(&fact),
        |fact| unverified.contains(&fact),
    )
}

fn texts<'t>(table: &'t DeTable<'_>, key: &str) -> Vec<&'t str> {
    let all = table.get(key).and_then(|all| all.get_ref().as_array());
    let all = all.into_iter().flatten();
    all.filter_map(|value| value.get_ref().as_str()).collect()
}

/// A URL template, of whose parameters only the names are left.
fn without_filters(url: &str) -> String {
    let parts = url.split('}');
    let names = parts.map(|part| match part.split_once('{') {
        Some((before, name)) => {
            let name = name.split('|').next().unwrap_or_default();
            format!("{before}{{{name}")
        }
        None => part.to_owned(),
    });
    names.collect::<Vec<_>>().join("}")
}

/// The host of a URL template, without its parameters.
fn host(url: &str) -> String {
    let behind = url.split_once("://").map_or("", |(_, behind)| behind);
    let host = behind.split('/').next().unwrap_or_default();
    let parts = host.split('{');
    parts
        .map(|part| part.split_once('}').map_or(part, |(_, own)| own))
        .collect()
}
