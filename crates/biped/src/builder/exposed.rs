//! Warns of secret files that other users can write: they could have another secret sent to the vendor.

use std::{collections::BTreeMap, sync::Arc};

use super::providers::Made;

/// Logs a warning for each secret file of a provider that other users can write. Others may read it: in
/// containers, mounted secrets are usually readable for all.
#[cfg(unix)]
pub(super) fn warn(made: &BTreeMap<Arc<str>, Made>) {
    use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf, sync::mpsc, time::Duration};

    use biped_core::wire;

    /// How long a file system may take to say who can write a file.
    const LIMIT: Duration = Duration::from_millis(500);

    let files: Vec<(Arc<str>, PathBuf)> = made
        .iter()
        .flat_map(|(name, made)| {
            let places = made.provider.id().references();
            let files = places.filter_map(|place| place.file());
            files.map(|file| (name.clone(), file)).collect::<Vec<_>>()
        })
        .collect();
    if files.is_empty() {
        return;
    }
    let (sender, found) = mpsc::channel();
    // A file system that does not respond holds up a thread of its own.
    let looking = std::thread::Builder::new()
        .name("biped-file-mode".into())
        .spawn(move || {
            for (name, file) in files {
                let found = fs::metadata(&file).ok().filter(fs::Metadata::is_file);
                let mode = found.map_or(0, |found| found.mode() & 0o7777);
                if mode & 0o002 != 0 && sender.send((name, file, mode)).is_err() {
                    return;
                }
            }
        });
    if looking.is_err() {
        return;
    }
    while let Ok((name, file, mode)) = found.recv_timeout(LIMIT) {
        let provider = &*wire::escaped(&name);
        let file = file.to_string_lossy();
        let file = wire::Escaped(&file);
        tracing::warn!(
            target: "biped::config",
            provider,
            "other users can write the secret file {file} (its mode is {mode:04o}); run chmod o-w {file}"
        );
    }
}

#[cfg(not(unix))]
pub(super) fn warn(_: &BTreeMap<Arc<str>, Made>) {}
