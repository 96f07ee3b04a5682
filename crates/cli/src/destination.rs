//! Files that options name, to be written.

use std::{fs, io, path::Path};

use biped::{Error, config::read_file};

/// Returns an error if what is at `path` can't be replaced by a file: a directory, a device, a pipe, or a link
/// to one. Links to open files, such as `/dev/stdout`, count as such: they would be replaced themselves.
pub(crate) fn check(path: &Path) -> Result<(), Error> {
    let special = match read_file(path, 0) {
        Err(error) if is_of_special(&error) => error.to_string(),
        _ if is_open_file(path) => "a link to an open file, not a regular file".into(),
        // What else is wrong is told when it is written.
        _ => return Ok(()),
    };
    let error = Error::configuration(format!("{} can't be written: {special}", path.display()));
    Err(error.with_remedy("name a regular file, or a new one, with --write"))
}

fn is_of_special(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput
    )
}

fn is_open_file(path: &Path) -> bool {
    let target = fs::read_link(path).unwrap_or_default();
    let target = path.parent().unwrap_or(path).join(target);
    ["/proc", "/dev/fd"]
        .iter()
        .any(|directory| target.starts_with(directory))
}
