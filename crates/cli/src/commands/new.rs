//! `biped new provider` and `biped new store`.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use biped::{Error, provider::wire::Escaped};

use crate::{
    args::new::{New, NewCrate},
    failure::Outcome,
    output,
    session::Session,
};

mod name;

use self::name::Name;

/// The files of a crate: their paths, and their templates.
type Files = [(&'static str, &'static str); 5];

macro_rules! files {
    ($kind:literal) => {
        [
            ("Cargo.toml", template!($kind, "Cargo.toml")),
            ("src/lib.rs", template!($kind, "lib.rs")),
            ("tests/conformance.rs", template!($kind, "conformance.rs")),
            ("README.md", template!($kind, "README.md")),
            (".gitignore", "/target\n"),
        ]
    };
}

macro_rules! template {
    ($kind:literal, $file:literal) => {
        include_str!(concat!("../../templates/", $kind, "/", $file, ".in"))
    };
}

const PROVIDER: Files = files!("provider");
const STORE: Files = files!("store");

/// The crates of Biped that a new crate depends on, and their directories in a checkout.
const CRATES: [(&str, &str, &str); 4] = [
    ("biped", "crates/biped", ", default-features = false"),
    ("biped-config", "crates/config", ""),
    ("biped-core", "crates/core", ""),
    ("biped-testing", "crates/testing", ""),
];

pub(crate) fn run(session: &Session, new: &New) -> Outcome {
    let builder = session.builder_without_file();
    let (args, files, is_taken) = match new {
        New::Provider(args) => {
            let is_taken = builder.kinds().any(|kind| kind.name() == args.kind());
            (args, PROVIDER, is_taken)
        }
        New::Store(args) => {
            let mut kinds = builder.store_kinds();
            let is_taken = args.kind() == "memory" || kinds.any(|kind| kind.name() == args.kind());
            (args, STORE, is_taken)
        }
    };
    let name = Name::new(&args.name).map_err(|why| {
        Error::configuration(format!("{} can't be the name of a crate: {why}", args.name))
            .with_remedy("choose another name, such as acme or biped-acme")
    })?;
    if is_taken {
        let error = Error::configuration(format!("there is already a kind named {}", args.kind()));
        return Err(error.with_remedy("choose another name").into());
    }
    let checkout = args.biped_path.as_deref().map(checkout).transpose()?;
    let directory = Path::new(&args.name);
    write(directory, &files, |text| {
        name.fill(&fill(text, args, checkout.as_deref()))
    })?;
    output::note(&format!(
        "wrote {0}; follow the steps of {0}/README.md, and run cargo test in it",
        args.name
    ));
    if checkout.is_none() {
        output::note(&format!(
            "if cargo does not find the crates of Biped {}, they are not published yet; remove {}, and run this \
             command again with --biped-path DIRECTORY, a checkout of Biped",
            env!("CARGO_PKG_VERSION"),
            args.name
        ));
    }
    if let Some(workspace) = workspace() {
        output::note(&format!(
            "{} is inside a workspace; add it to the members in {}, or move it out",
            args.name,
            Escaped(&workspace.display().to_string())
        ));
    }
    Ok(())
}

impl NewCrate {
    /// The name of the kind: that of the crate without `biped-`.
    fn kind(&self) -> &str {
        let kind = self.name.strip_prefix("biped-");
        kind.unwrap_or(&self.name)
    }
}

/// Returns the absolute path of a checkout of Biped.
fn checkout(path: &Path) -> Result<PathBuf, Error> {
    let is_checkout = CRATES
        .iter()
        .all(|(_, directory, _)| path.join(directory).join("Cargo.toml").is_file());
    let absolute = if is_checkout {
        path.canonicalize().ok()
    } else {
        None
    };
    absolute.ok_or_else(|| {
        Error::configuration(format!(
            "--biped-path: {} is not a checkout of Biped",
            path.display()
        ))
        .with_remedy("name the directory that contains crates/biped")
    })
}

/// Sets what a template says of Biped.
fn fill(text: &str, args: &NewCrate, checkout: Option<&Path>) -> String {
    let mut text = text
        .replace("@KIND@", args.kind())
        .replace("@RUST@", env!("CARGO_PKG_RUST_VERSION"))
        .replace("@REPOSITORY@", env!("CARGO_PKG_REPOSITORY"));
    for (name, directory, options) in CRATES {
        let source = match checkout {
            // A TOML string in double quotes has the escapes of a Rust string for what paths contain.
            Some(root) => format!("path = {:?}", root.join(directory)),
            None => format!("version = {:?}", env!("CARGO_PKG_VERSION")),
        };
        text = text.replace(&format!("@{name}@"), &format!("{{ {source}{options} }}"));
    }
    text
}

/// Writes the files into a directory that does not exist yet.
fn write(directory: &Path, files: &Files, fill: impl Fn(&str) -> String) -> Result<(), Error> {
    let shown = directory.display();
    fs::create_dir(directory).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::configuration(format!("{shown} exists already"))
            .with_remedy("choose another name, or run this command in another directory"),
        _ => Error::configuration(format!("{shown} can't be created: {error}")),
    })?;
    for (name, template) in files {
        let path = directory.join(name);
        let written = fs::create_dir_all(path.parent().unwrap_or(directory))
            .and_then(|()| fs::File::create_new(&path))
            .and_then(|mut file| file.write_all(fill(template).as_bytes()));
        written.map_err(|error| {
            Error::configuration(format!("{} can't be written: {error}", path.display()))
                .with_remedy(format!("remove {shown}, and run this command again"))
        })?;
    }
    Ok(())
}

/// Returns the manifest of the workspace that the working directory is in.
fn workspace() -> Option<PathBuf> {
    let directory = std::env::current_dir().ok()?;
    let mut manifests = directory.ancestors().map(|one| one.join("Cargo.toml"));
    manifests.find(|manifest| {
        let text = fs::read_to_string(manifest).unwrap_or_default();
        text.lines().any(|line| line.trim_end() == "[workspace]")
    })
}
