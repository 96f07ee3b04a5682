//! [`ConfigFile`]: a configuration file, read once, and a check of who may have written it.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use biped_core::{Error, MAX_FILE_SIZE, read_file, read_file_if, wire};
use zeroize::Zeroizing;

/// What to do with a configuration file that another user may have written.
///
/// That is so if its owner is neither the user nor root, if others may write it, or if a group may write
/// it that is neither root's nor the user's own (the group with the user's id). Only Unix has this
/// check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnerCheck {
    /// Read the file.
    #[default]
    Off,
    /// Read the file, and log a warning.
    Warn,
    /// Refuse the file.
    Refuse,
}

/// A configuration file and the files that it names. Each file is read once, so that the text that was
/// checked is the text that is used.
///
/// ```no_run
/// use biped::{Biped, config::{ConfigFile, OwnerCheck}};
///
/// let file = ConfigFile::open("biped.toml", OwnerCheck::Refuse)?;
/// let biped = Biped::builder().opened_file(file).build()?;
/// # Ok::<(), biped::Error>(())
/// ```
#[derive(Clone)]
pub struct ConfigFile(Arc<Inner>);

struct Inner {
    path: PathBuf,
    text: String,
    check: OwnerCheck,
    named: Mutex<BTreeMap<PathBuf, Arc<str>>>,
}

impl ConfigFile {
    /// Opens a file, checks the owner and the mode of the open file, and reads it.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) for a file that is refused, can't be
    /// read or is not UTF-8.
    pub fn open(path: impl Into<PathBuf>, check: OwnerCheck) -> Result<Self, Error> {
        let path = path.into();
        let bytes = read(&path, check).map_err(|error| {
            let what = format!("{} can't be read: {error}", path.display());
            match error.kind() {
                io::ErrorKind::NotFound => Error::configuration(what).with_remedy("check the path"),
                _ => Error::configuration(what),
            }
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let good = &bytes[..error.valid_up_to()];
            let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
            Error::configuration(format!("{}:{line}: this is not UTF-8", path.display()))
        })?;
        let named = Mutex::default();
        Ok(Self(Arc::new(Inner {
            text: text.into(),
            path,
            check,
            named,
        })))
    }

    /// Returns the path, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    pub(crate) fn text(&self) -> &str {
        &self.0.text
    }

    /// Reads a file that this one names, with the same check.
    pub(crate) fn read_named(&self, path: &Path) -> io::Result<String> {
        let mut named = self.0.named.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = named.get(path) {
            return Ok(text.to_string());
        }
        let text = read_text(path, self.0.check)?;
        named.insert(path.to_owned(), text.as_str().into());
        Ok(text)
    }

    /// The files that were read because this one names them.
    pub(crate) fn named(&self) -> BTreeMap<PathBuf, Arc<str>> {
        self.0
            .named
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Leaves out the text, which may hold a secret.
impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigFile")
            .field("path", &self.0.path)
            .field("check", &self.0.check)
            .finish_non_exhaustive()
    }
}

/// Reads a file that a configuration names.
pub(crate) fn read_text(path: &Path, check: OwnerCheck) -> io::Result<String> {
    let bytes = read(path, check)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| io::Error::other("it is not UTF-8"))?;
    Ok(text.into())
}

fn read(path: &Path, check: OwnerCheck) -> io::Result<Zeroizing<Vec<u8>>> {
    if check == OwnerCheck::Off {
        return read_file(path, MAX_FILE_SIZE);
    }
    if check == OwnerCheck::Refuse {
        refuse_link(path)?;
    }
    let mut warning = None;
    let content = read_file_if(path, MAX_FILE_SIZE, |metadata| {
        match problem(path, metadata) {
            Some(problem) if check == OwnerCheck::Refuse => return Err(refused(&problem)),
            found => warning = found,
        }
        Ok(())
    })?;
    if let Some(problem) = warning {
        let path = path.to_string_lossy();
        tracing::warn!("{}: {}", wire::Escaped(&path), wire::Escaped(&problem));
    }
    Ok(content)
}

/// Refuses a link whose owner could not own the file: relative paths in the file are relative to the
/// link.
#[cfg(unix)]
fn refuse_link(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    match owner_problem(path, &found) {
        Some(problem) if found.is_symlink() => Err(refused(&format!("the link {problem}"))),
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn refuse_link(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The error for a file that another user may have written. A file that is named is used all the same.
fn refused(problem: &str) -> io::Error {
    io::Error::other(format!(
        "{problem}, or name the configuration with --config"
    ))
}

/// Says why another user may have written a file, and how to repair that.
#[cfg(unix)]
fn problem(path: &Path, found: &fs::Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;

    owner_problem(path, found).or_else(|| {
        let user = rustix::process::geteuid().as_raw();
        let (who, mends) = match found.mode() {
            mode if mode & 0o002 != 0 => ("other users".to_owned(), "go-w"),
            mode if mode & 0o020 != 0 && found.gid() != user && found.gid() != 0 => {
                (format!("the group {}", found.gid()), "g-w")
            }
            _ => return None,
        };
        let mode = found.mode() & 0o7777;
        let shown = path.display();
        Some(format!(
            "{who} may write it (its mode is {mode:04o}); check what it says, then run chmod \
             {mends} {shown}"
        ))
    })
}

#[cfg(unix)]
fn owner_problem(path: &Path, found: &fs::Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;

    let user = rustix::process::geteuid().as_raw();
    let owner = found.uid();
    if owner == user || owner == 0 {
        return None;
    }
    let mode = found.mode() & 0o7777;
    let shown = path.display();
    Some(format!(
        "it belongs to user {owner} (its mode is {mode:04o}), who is neither you (user {user}) nor \
         root; check what it says, then run chown {user} {shown}"
    ))
}

#[cfg(not(unix))]
fn problem(_: &Path, _: &fs::Metadata) -> Option<String> {
    None
}
