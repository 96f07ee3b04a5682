//! Lists the files below `vendors`, so that a vendor joins the catalogue by a file there.

#![allow(clippy::print_stdout)] // A build script speaks to cargo on stdout.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
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
    let mut list = String::from(
        "/// The names and texts, sorted by name.\npub(crate) const FILES: &[(&str, &str)] = &[\n",
    );
    for name in &names {
        let path = directory.join(format!("{name}.toml"));
        writeln!(list, "    ({name:?}, include_str!({path:?})),")?;
    }
    list.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("vendors.rs"), list)?;
    Ok(())
}
