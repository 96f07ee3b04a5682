//! `biped new`: the crates that it writes compile and pass their suites as written.

use std::{fs, path::Path, process::Command};

use crate::world::World;

/// The root of the workspace.
fn root() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.unwrap()
}

/// Writes a crate that depends on this checkout, and runs its tests as written.
fn is_good_as_written(what: &str, name: &str) {
    let world = World::empty();
    let checkout = root().to_str().unwrap();
    let ran = world.run_words(["new", what, name, "--biped-path", checkout]);
    assert!(ran.stderr.contains("cargo test"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("--biped-path"), "{}", ran.stderr);
    assert_eq!(ran.ok(), "");
    let directory = world.path(name);
    // The versions that are built already, so that nothing is fetched.
    fs::copy(root().join("Cargo.lock"), directory.join("Cargo.lock")).unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_biped")).ancestors().nth(2);
    let ran = Command::new(env!("CARGO"))
        .args(["test", "--offline", "--quiet"])
        .current_dir(&directory)
        .env("CARGO_TARGET_DIR", built.unwrap())
        .env("RUSTFLAGS", "-D warnings")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(
        ran.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&ran.stdout)
    );
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(said.contains("2 passed"), "{said}");
}

#[test]
fn a_new_provider_passes_its_suite_as_written() {
    is_good_as_written("provider", "acme");
}

#[test]
fn a_new_store_passes_its_suite_as_written() {
    is_good_as_written("store", "biped-team-ledger");
}

#[test]
fn a_new_crate_depends_on_the_published_versions() {
    let world = World::empty();
    for what in ["provider", "store"] {
        let name = format!("my-{what}");
        let ran = world.run(&format!("new {what} {name}"));
        // They may not be published yet.
        let told = ["cargo does not find", "--biped-path"];
        assert!(told.iter().all(|it| ran.stderr.contains(it)), "{ran:?}");
        ran.ok();
        let manifest = fs::read_to_string(world.path(&name).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let version = Some(env!("CARGO_PKG_VERSION"));
        for (table, dependency) in [
            ("dependencies", "biped-config"),
            ("dependencies", "biped-core"),
            ("dev-dependencies", "biped"),
            ("dev-dependencies", "biped-testing"),
        ] {
            let found = &manifest[table][dependency];
            assert_eq!(found["version"].as_str(), version, "{dependency}");
            assert!(found.get("path").is_none(), "{dependency}");
        }
        for (file, text) in files(&world.path(&name)) {
            let is_filled = !text.split(['"', ' ', '{', '(', ':', '`']).any(|word| {
                word.len() > 2
                    && word.starts_with('@')
                    && word.trim_end_matches([',', ';']).ends_with('@')
            });
            assert!(is_filled, "{file}: {text}");
        }
    }
}

/// The files of a crate.
fn files(directory: &Path) -> Vec<(String, String)> {
    let names = [
        "Cargo.toml",
        "src/lib.rs",
        "tests/conformance.rs",
        "README.md",
    ];
    let read = |name: &str| {
        let text = fs::read_to_string(directory.join(name)).unwrap();
        (name.to_owned(), text)
    };
    names.map(read).into()
}

#[test]
fn what_is_there_is_not_touched() {
    let world = World::empty();
    fs::create_dir(world.path("acme")).unwrap();
    fs::write(world.path("acme/Cargo.toml"), "mine").unwrap();
    let ran = world.run("new provider acme");
    assert!(ran.stderr.contains("exists already"), "{}", ran.stderr);
    ran.failed(2);
    assert_eq!(
        fs::read_to_string(world.path("acme/Cargo.toml")).unwrap(),
        "mine"
    );
    assert_eq!(fs::read_dir(world.path("acme")).unwrap().count(), 1);
}

#[test]
fn a_name_that_no_crate_can_have_is_refused_before_anything_is_written() {
    let world = World::empty();
    for name in [
        "",
        "Acme",
        "7vendors",
        "a b",
        "../acme",
        "acme/x",
        "acme-",
        "fn",
        "tokio",
        "biped",
        "serde_json",
        "vendör",
        "-acme",
        &"a".repeat(65),
    ] {
        let ran = world.run_words(["new", "provider", "--", name]);
        assert!(ran.stderr.contains("name"), "{name}: {}", ran.stderr);
        ran.failed(2);
    }
    for (line, kind) in [
        ("new provider oauth2", "oauth2"),
        ("new provider biped-dialect", "dialect"),
        ("new store redis", "redis"),
        ("new store memory", "memory"),
    ] {
        let ran = world.run(line);
        assert!(ran.stderr.contains(kind), "{line}: {}", ran.stderr);
        ran.failed(2);
    }
    let left = fs::read_dir(world.path(".")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn a_name_of_another_crate_is_refused_with_the_reason() {
    let world = World::empty();
    let refused = |name: &str| {
        let said = world.run_words(["new", "provider", name]).failed(2);
        assert!(said.contains(&format!("{name} can't be")), "{said}");
        said
    };
    // What the new crate depends on, and the crates of this workspace.
    for (what, name) in [("provider", "acme"), ("store", "ledger")] {
        world.run(&format!("new {what} {name}")).ok();
        let manifest = fs::read_to_string(world.path(name).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        for table in ["dependencies", "dev-dependencies"] {
            for dependency in manifest[table].as_table().unwrap().keys() {
                refused(dependency);
            }
        }
    }
    let crates = root().join("crates");
    let mut own = 0;
    for directory in [
        &crates,
        &crates.join("providers"),
        &crates.join("stores"),
        &crates.join("clients"),
    ] {
        for one in fs::read_dir(directory).unwrap() {
            let Ok(manifest) = fs::read_to_string(one.unwrap().path().join("Cargo.toml")) else {
                continue;
            };
            let manifest: toml::Table = manifest.parse().unwrap();
            refused(manifest["package"]["name"].as_str().unwrap());
            own += 1;
        }
    }
    assert!(own > 20, "{own}");
    // Each reason has its own sentence.
    let names = ["fn", "std", "serde", "tokio", "con", "biped-core"];
    let reasons: Vec<_> = names.map(|name| refused(name).replace(name, "")).into();
    for (at, reason) in reasons.iter().enumerate() {
        assert!(!reasons[..at].contains(reason), "{reason}");
    }
}

#[test]
fn a_directory_that_is_not_a_checkout_is_refused() {
    let world = World::empty();
    let ran = world.run("new provider acme --biped-path .");
    assert!(ran.stderr.contains("--biped-path"), "{}", ran.stderr);
    ran.failed(2);
    assert!(!world.path("acme").exists());
}

#[test]
fn a_workspace_around_the_new_crate_is_pointed_out() {
    let world = World::empty();
    fs::write(world.path("Cargo.toml"), "[workspace]\nmembers = []\n").unwrap();
    let ran = world.run("new store ledger");
    assert!(ran.stderr.contains("members"), "{}", ran.stderr);
    ran.ok();
}
