//! The targets on every seed, and on seeds that are cut, repeated and changed: what libFuzzer does for
//! hours, in a second.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeSet, fs, path::PathBuf};

use biped_fuzz_targets::{TARGETS, run};
use proptest::{
    collection::vec,
    prelude::any,
    sample::Index,
    test_runner::{Config, TestCaseError, TestRunner},
};

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz"))
}

/// The seeds of a target, and the inputs that once broke a promise, which are kept beside them.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = root().join("seeds").join(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{directory:?}: {error}"));
    let mut seeds: Vec<_> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.display().to_string(), fs::read(path).unwrap())
        })
        .collect();
    seeds.sort();
    seeds
}

#[test]
fn every_target_takes_its_seeds() {
    for (target, function) in TARGETS {
        let seeds = seeds(target);
        assert!(seeds.len() >= 2, "{target}");
        for (name, seed) in seeds {
            eprintln!("{name}");
            function(&seed);
        }
    }
}

#[test]
fn every_target_takes_changed_seeds() {
    // Seeds are changed the same way in each run, so that a failure can be repeated. PROPTEST_CASES sets
    // how often.
    for (target, function) in TARGETS {
        let mut config = Config {
            failure_persistence: None,
            ..Config::default()
        };
        if ["google_key", "keys"].contains(&target) {
            // It signs with every key that it reads.
            config.cases = config.cases.div_ceil(5);
        }
        let rng = proptest::test_runner::TestRng::deterministic_rng(config.rng_algorithm);
        let seeds = seeds(target);
        let change = (any::<Index>(), any::<u8>(), 0..6_u8);
        let strategy = (any::<Index>(), vec(change, 1..6));
        let outcome = TestRunner::new_with_rng(config, rng).run(&strategy, |(seed, changes)| {
            let mut data = seed.get(&seeds).1.clone();
            for (at, byte, how) in changes {
                changed(&mut data, &at, byte, how);
            }
            let data_of_a_failure = data.clone();
            std::panic::catch_unwind(move || function(&data)).map_err(|_| {
                let shown = data_of_a_failure.escape_ascii().to_string();
                TestCaseError::fail(format!("{target}: {shown}"))
            })
        });
        outcome.unwrap();
    }
}

fn changed(data: &mut Vec<u8>, at: &Index, byte: u8, how: u8) {
    const ODD: [&[u8]; 8] = [
        b"%2f",
        b"..",
        b"\"",
        b"{",
        b"\n",
        b"-1",
        b"99999999999999999999",
        b"\xf0\x9f\x98\x80",
    ];
    let at = at.index(data.len() + 1);
    match how {
        0 => data.truncate(at),
        1 => data.insert(at, byte),
        2 if at < data.len() => data[at] = byte,
        3 if at < data.len() => drop(data.remove(at)),
        4 => {
            let odd = ODD[usize::from(byte) % ODD.len()];
            data.splice(at..at, odd.iter().copied());
        }
        _ => {
            let tail = data[at..].to_vec();
            data.extend(tail);
        }
    }
}

#[test]
fn every_target_has_a_program_for_libfuzzer() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let programs: BTreeSet<_> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .filter(|name| *name != "biped-fuzz")
        .collect();
    let targets: BTreeSet<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(programs, targets);
    for target in targets {
        let program = root().join("fuzz_targets").join(format!("{target}.rs"));
        let program = fs::read_to_string(program).unwrap();
        assert!(
            program.contains(&format!("run({target:?}, data)")),
            "{target}"
        );
    }
}

#[test]
#[should_panic(expected = "the name of a target")]
fn a_name_without_a_target_is_a_mistake() {
    run("nothing", b"");
}
