//! The book: its TOML is configuration that Biped reads, its links lead somewhere, and every chapter is in
//! its table of contents.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use biped::Biped;

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The chapters: the names of their files, and their texts.
fn chapters() -> Vec<(String, String)> {
    let directory = fs::read_dir(root().join("docs")).unwrap();
    let files = directory.map(|entry| entry.unwrap().path());
    let mut chapters: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|end| end == "md"))
        .map(|file| {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(file).unwrap())
        })
        .collect();
    chapters.sort();
    assert!(chapters.len() >= 10);
    chapters
}

/// The blocks of a language in a text.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let opening = format!("```{language}\n");
    let starts = text
        .match_indices(&opening)
        .map(|(at, _)| at + opening.len());
    starts
        .map(|start| {
            let rest = &text[start..];
            &rest[..rest.find("\n```").expect("a block ends") + 1]
        })
        .collect()
}

#[test]
fn every_toml_block_is_read() {
    let (mut entries, mut vendors) = (0, 0);
    let file = biped_dialect::check_text;
    for (chapter, text) in chapters() {
        for block in blocks(&text, "toml") {
            let table: toml::Table = block
                .parse()
                .unwrap_or_else(|error| panic!("{chapter}: {error}\n{block}"));
            if table.contains_key("url") {
                let report = file(block, "acme.toml");
                assert!(report.is_good(), "{chapter}: {report:?}");
                assert!(
                    report.examples() > 0 && report.advice().is_empty(),
                    "{chapter}"
                );
                vendors += 1;
            } else if is_whole(&table) {
                is_configuration(&chapter, block, &text);
                entries += 1;
            }
        }
    }
    assert!(entries >= 8 && vendors >= 1, "{entries} {vendors}");
}

/// Whether a table is a configuration, and not a part of one or of another file.
fn is_whole(table: &toml::Table) -> bool {
    let providers = table.get("providers").and_then(toml::Value::as_table);
    let mut entries = providers.into_iter().flat_map(toml::Table::values);
    let is_manifest = ["dependencies", "dev-dependencies"]
        .iter()
        .any(|key| table.contains_key(*key));
    !is_manifest && entries.all(|entry| entry.get("kind").is_some())
}

/// Builds a `Biped` from a block. It must not depend on a machine's variables and files; a vendor file is
/// that of the same chapter.
fn is_configuration(chapter: &str, block: &str, text: &str) {
    let directory = tempfile::tempdir().unwrap();
    let vendor = blocks(text, "toml")
        .into_iter()
        .find(|block| block.starts_with("url"));
    fs::write(
        directory.path().join("acme.toml"),
        vendor.unwrap_or_default(),
    )
    .unwrap();
    let authority = include_str!("authority.pem");
    let secret = directory.path().join("seal");
    fs::write(&secret, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
    let pem = directory.path().join("authority.pem");
    fs::write(&pem, authority).unwrap();
    let block = block
        .replace("/etc/ssl/cluster-ca.pem", pem.to_str().unwrap())
        .replace("/run/secrets/biped-seal", secret.to_str().unwrap())
        .replace("env:DATABASE_URL", "postgres://127.0.0.1:1/tokens")
        .replace("env:REDIS_URL", "redis://127.0.0.1:1/0");
    let path = directory.path().join("biped.toml");
    fs::write(&path, &block).unwrap();
    let builder = Biped::builder().without_environment();
    let built = builder.section(biped_serve::section()).file(path).build();
    if let Err(error) = built {
        panic!("{chapter}: {error}\n{block}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    const PAGES: [&str; 7] = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "README.md",
        "SECURITY.md",
        "crates/providers/dialect/ADDING_A_VENDOR.md",
        "fuzz/README.md",
    ];
    let chapters = chapters();
    let mut seen = 0;
    for (chapter, text) in &chapters {
        seen += follow(&Path::new("docs").join(chapter), text);
    }
    for page in PAGES {
        let text = fs::read_to_string(root().join(page)).unwrap();
        seen += follow(page.as_ref(), &text);
    }
    assert!(seen > 150, "{seen}");
}

/// Follows the links of a page to files of the repository and to their headings, and counts them.
fn follow(page: &Path, text: &str) -> usize {
    const REPOSITORY: &str = "https://github.com/biped-rs/biped/blob/main/";
    let headings = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| line.starts_with('#'));
        lines
            .map(|line| anchor(line.trim_start_matches('#')))
            .collect()
    };
    let folder = root().join(page.parent().unwrap());
    let mut seen = 0;
    for link in links(text) {
        let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
        let file = match path.strip_prefix(REPOSITORY) {
            Some(path) => root().join(path),
            None if path.contains("://") => continue,
            None if path.is_empty() => root().join(page),
            None => folder.join(path),
        };
        assert!(file.exists(), "{page:?}: {link}");
        // A chapter is a page of its own: outside of the book there is only the repository.
        if page.starts_with("docs") && path.starts_with("..") {
            panic!("{page:?}: {link} leads out of the book");
        }
        if !heading.is_empty() {
            let text = fs::read_to_string(file).unwrap();
            assert!(headings(&text).contains(heading), "{page:?}: {link}");
        }
        seen += 1;
    }
    seen
}

/// The targets of Markdown links outside of blocks of code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        in_block ^= line.starts_with("```");
        if in_block {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let rest = &line[at + 2..];
            found.extend(rest.split(')').next().map(str::to_owned));
        }
    }
    found
}

/// The anchor of a heading, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let heading = heading.trim().to_lowercase();
    let kept = heading
        .chars()
        .filter(|one| one.is_alphanumeric() || " -_".contains(*one));
    kept.map(|one| if one == ' ' { '-' } else { one }).collect()
}

#[test]
fn every_chapter_is_in_the_table_of_contents_and_compiled() {
    let chapters = chapters();
    let contents = chapters
        .iter()
        .find(|(name, _)| name == "SUMMARY.md")
        .unwrap();
    let listed: BTreeSet<_> = links(&contents.1).into_iter().collect();
    let written: BTreeSet<_> = chapters
        .iter()
        .map(|(name, _)| name.clone())
        .filter(|name| name != "SUMMARY.md")
        .collect();
    assert_eq!(listed, written);
    let compiled = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"));
    let compiled = compiled.unwrap();
    for name in written {
        assert!(compiled.contains(&format!("docs/{name}\"")), "{name}");
    }
}
