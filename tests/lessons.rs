//! What hurt others stands in lessons.md, each with the tests that hold us to it: those exist.

use std::{collections::BTreeMap, fs, path::PathBuf};

use crate::architecture::{members, root, sources};

const LESSONS: &str = include_str!("lessons.md");
const COUNT: usize = 75;

/// The rows of the table: cells without their padding.
fn rows() -> Vec<Vec<&'static str>> {
    let rows = LESSONS.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = |row: &'static str| {
        row.trim_end_matches(" |")
            .split(" | ")
            .map(str::trim)
            .collect()
    };
    rows.filter(|row| row.starts_with(|c: char| c.is_ascii_digit()))
        .map(cells)
        .collect()
}

/// The sources of each package, by its name.
fn packages() -> BTreeMap<String, Vec<PathBuf>> {
    let named = members().into_iter().map(|(folder, manifest)| {
        let name = manifest["package"]["name"].as_str().unwrap();
        let name = name.replace("biped-tests", "system");
        (name, sources(&root().join(folder)))
    });
    named.collect()
}

/// Whether a source has a test of this name: a function with an attribute that says so.
fn has_test(source: &str, name: &str) -> bool {
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") && line.contains("test") && !line.starts_with("#[cfg") {
            is_test = true;
        }
        let function = line.strip_prefix("pub ").unwrap_or(line);
        let function = function.strip_prefix("async ").unwrap_or(function);
        if let Some(function) = function.strip_prefix("fn ") {
            if is_test && function.split(['(', '<']).next() == Some(name) {
                return true;
            }
            is_test = false;
        }
    }
    false
}

#[test]
fn every_lesson_is_held_by_a_test_that_exists_or_owed_by_a_crate() {
    let packages = packages();
    let mut problems = Vec::new();
    let rows = rows();
    let numbers: Vec<usize> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(numbers, (1..=COUNT).collect::<Vec<_>>());
    for row in rows {
        let [number, _, _, _, held] = row[..] else {
            panic!("{row:?} has not five cells");
        };
        let tests: Vec<_> = held.split('`').skip(1).step_by(2).collect();
        if tests.is_empty() && !held.to_lowercase().contains("owed by biped-") {
            problems.push(format!("{number}: neither a test nor who owes it"));
        }
        for test in tests {
            let parts: Vec<_> = test.split("::").collect();
            let [package, file, name] = parts[..] else {
                problems.push(format!("{number}: {test} is not package::file::test"));
                continue;
            };
            let sources = packages.get(package).map(Vec::as_slice).unwrap_or_default();
            let exists = sources
                .iter()
                .filter(|path| path.file_stem().is_some_and(|stem| stem == file))
                .any(|path| has_test(&fs::read_to_string(path).unwrap(), name));
            if !exists {
                problems.push(format!("{number}: there is no test {test}"));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn a_test_is_told_from_other_functions() {
    let source = "
        #[tokio::test]
        async fn alpha() {}
        fn beta() {}
        #[test]
        #[ignore = \"why\"]
        fn gamma() {}
        #[cfg(test)]
        fn delta() {}
        // #[test] fn epsilon
    ";
    let all = ["alpha", "beta", "gamma", "delta", "epsilon", "alph"];
    assert_eq!(
        all.map(|name| has_test(source, name)),
        [true, false, true, false, false, false]
    );
}
