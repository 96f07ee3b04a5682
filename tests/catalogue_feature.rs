//! The façade has the catalogue only with its feature `catalogue`, by what cargo resolves. `.ci/run` looks
//! for the vendors in what is built.

use std::process::Command;

use crate::architecture::{members, root};

/// The features of biped-dialect in a build of the façade with these features.
fn of_dialect(features: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "-p",
            "biped",
            "-e",
            "normal",
        ])
        .args(["--prefix", "none", "--format", "{p} [{f}]"])
        .args(["--no-default-features", "--features", &features.join(",")])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    let line = told.lines().find(|line| line.starts_with("biped-dialect "));
    line.unwrap_or_default().to_owned()
}

#[test]
fn no_other_feature_of_the_facade_brings_the_catalogue() {
    let facade = members()["crates/biped"].clone();
    let features = facade["features"].as_table().unwrap();
    let others: Vec<_> = features.keys().map(String::as_str).collect();
    let others: Vec<_> = others
        .into_iter()
        .filter(|name| *name != "catalogue")
        .collect();
    assert!(others.contains(&"dialect") && others.contains(&"default"));
    let without = of_dialect(&others);
    assert!(without.ends_with("[]"), "{without}");
    assert!(of_dialect(&["catalogue"]).ends_with("[catalogue]"));
    assert_eq!(of_dialect(&["default"]), "");
}
