//! `biped init`.

mod api;

use std::{
    fs::{File, OpenOptions},
    io,
    io::Write,
    path::Path,
};

use biped::{
    Biped, Builder, Error,
    dialect::Catalogue,
    provider::{Field, FieldType, ProviderKind},
};

use super::vendors::found;
use crate::{
    args,
    failure::Outcome,
    output,
    session::{FILE_NAME, Session},
};

const STARTER: &str = include_str!("init/biped.toml");

pub(crate) fn run(session: &Session, args: &args::Init) -> Outcome {
    if let Some(vendor) = &args.vendor {
        return Err(of_one_vendor(vendor).into());
    }
    if let Some(url) = &args.api {
        return api::run(session, url);
    }
    let path = session.named_file().unwrap_or(Path::new(FILE_NAME));
    let shown = path.display();
    let starter = format!("{STARTER}{}", of_its_own(&session.builder_without_file()));
    let mut options = File::options();
    options.write(true).create_new(true);
    let written = readable_by_all(&mut options)
        .open(path)
        .and_then(|mut file| file.write_all(starter.as_bytes()));
    match written {
        Ok(()) => {
            session.trust_own(path);
            // A file that is named needs no trust.
            let next = match session.named_file() {
                Some(_) => format!("run: biped --config {shown} check"),
                None => "run: biped trust, and then: biped check".to_owned(),
            };
            output::note(&format!("wrote {shown}; fill in your vendors, then {next}"));
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Error::configuration(format!("{shown} exists already"))
                .with_remedy("move it, or name another file with --config")
                .into())
        }
        Err(error) => {
            Err(Error::configuration(format!("{shown} can't be written: {error}")).into())
        }
    }
}

/// The error of a name behind `init`: the table of one vendor comes from another command.
fn of_one_vendor(name: &str) -> Error {
    let what = "init writes a file for any vendor, and takes no name";
    let remedy = match Catalogue::built_in().get(name) {
        Some(vendor) => format!(
            "print the vendor's table with `biped vendors show {}`",
            vendor.name()
        ),
        None => format!(
            "print a vendor's table with `biped vendors show VENDOR`; the catalogue does not contain {name}: {}",
            found::suggestion(name)
        ),
    };
    Error::configuration(what).with_remedy(remedy)
}

/// Makes a new configuration writable by its owner only, whatever the umask: any other would be
/// refused.
pub(super) fn readable_by_all(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o644);
    options
}

/// Returns a table to fill in for each kind that the application adds.
fn of_its_own(builder: &Builder) -> String {
    let built_in = Biped::builder();
    let is_own = |kind: &&ProviderKind| built_in.kinds().all(|known| known.name() != kind.name());
    builder.kinds().filter(is_own).map(entry).collect()
}

fn entry(kind: &ProviderKind) -> String {
    let name = kind.name();
    let about = match kind.description() {
        "" => "A provider of this application.",
        about => about,
    };
    let mut entry = format!("\n# {about}\n# [providers.{name:?}]\n# kind = {name:?}\n");
    // The fields that every kind has.
    let plain = ProviderKind::new("", |_| {
        Err(Error::internal("this kind only lists the common fields"))
    });
    let is_own = |field: &&Field| plain.fields().all(|common| common.name() != field.name());
    for field in kind.fields().filter(is_own) {
        let value = format!("# {} = {}", field.name(), example(name, field));
        let about = field.description().trim_end_matches('.');
        let optional = if field.is_required() { "" } else { "optional" };
        let separator = match (about, optional) {
            ("", _) | (_, "") => "",
            _ => "; ",
        };
        let comment = format!("{about}{separator}{optional}");
        entry += format!("{value:<38} # {comment}")
            .trim_end_matches(" # ")
            .trim_end();
        entry.push('\n');
    }
    entry
}

/// Returns an example of the field's type, in TOML.
fn example(kind: &str, field: &Field) -> String {
    let variable = || {
        format!("{kind}_{}", field.name())
            .to_uppercase()
            .replace('-', "_")
    };
    match field.ty() {
        FieldType::Secret | FieldType::Identifier | FieldType::TokenSource | FieldType::Key => {
            format!("\"env:{}\"", variable())
        }
        FieldType::Integer | FieldType::Number => "0".into(),
        FieldType::Bool => "false".into(),
        FieldType::Url => "\"https://vendor.example\"".into(),
        FieldType::Texts | FieldType::TextsOrFalse | FieldType::Scopes => "[]".into(),
        FieldType::Date => "2026-03-01".into(),
        FieldType::Duration => "\"30s\"".into(),
        FieldType::Choice([first, ..]) => format!("{first:?}"),
        FieldType::Table | FieldType::SecretTable => "{}".into(),
        _ => "\"\"".into(),
    }
}
