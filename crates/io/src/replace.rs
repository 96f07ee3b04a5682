//! [`replace_file`]: a file that readers see whole, before and after.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// How many names of drafts are tried. Those of a process that was killed may be taken.
const NAMES: usize = 100;

/// Writes a file that only its owner may read: a reader sees the old content or the new one. The content
/// may be lost in a power cut.
///
/// The draft is beside the file, named like it, with a number and `.tmp` at the end.
///
/// # Errors
/// Fails as the file system does. The old content then stays, and no draft is left.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, |draft| draft.write_all(content))
}

/// Writes a file like [`replace_file`], with these permissions (on Unix), and forces it to the disk
/// before it replaces the old one.
///
/// # Errors
/// Fails as the file system does. The old content then stays, and no draft is left.
pub fn replace_file_durably(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    replace(path, |draft| {
        draft.write_all(content)?;
        // Not at its creation, where the process's mask would take some away.
        #[cfg(unix)]
        draft.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        #[cfg(not(unix))]
        let _ = mode;
        draft.sync_all()
    })
}

fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let (mut file, draft) = draft_of(path)?;
    let written = write(&mut file).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

/// A new file that only its owner may read.
fn draft_of(path: &Path) -> io::Result<(File, PathBuf)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut options = OpenOptions::new();
    // An existing file or link is left alone.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut taken = io::ErrorKind::AlreadyExists.into();
    for _ in 0..NAMES {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut own = OsString::from(name);
        own.push(format!(".{:x}-{number:x}.tmp", process::id()));
        let draft = path.with_file_name(own);
        match options.open(&draft) {
            Ok(file) => return Ok((file, draft)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = error,
            Err(error) => return Err(error),
        }
    }
    Err(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<OsString> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|file| file.unwrap().file_name())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_new_content_replaces_the_old_and_nothing_else_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.token");
        replace_file(&path, b"one").unwrap();
        replace_file(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        replace_file_durably(&path, b"three", 0o640).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(names(directory.path()), ["a.token"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_its_owners_alone_unless_it_is_given_other_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        replace_file(&path, b"").unwrap();
        assert_eq!(mode(), 0o600);
        replace_file_durably(&path, b"", 0o666).unwrap();
        assert_eq!(mode(), 0o666);
        replace_file(&path, b"").unwrap();
        assert_eq!(mode(), 0o600, "the old file's permissions are not kept");
    }

    #[cfg(unix)]
    #[test]
    fn a_reader_of_the_old_file_goes_on_reading_it() {
        use std::io::Read as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        replace_file(&path, b"old").unwrap();
        let mut open = File::open(&path).unwrap();
        replace_file(&path, b"new").unwrap();
        let mut read = String::new();
        open.read_to_string(&mut read).unwrap();
        assert_eq!(read, "old");
    }

    #[test]
    fn a_failure_leaves_what_was_there_and_no_draft() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::create_dir(&path).unwrap();
        replace_file(&path, b"content").unwrap_err();
        replace_file_durably(&path, b"content", 0o600).unwrap_err();
        assert_eq!(names(directory.path()), ["a"]);
        replace_file(Path::new("/"), b"").unwrap_err();
    }

    #[test]
    fn drafts_of_a_process_that_was_killed_are_no_obstacle() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let (_, first) = draft_of(&path).unwrap();
        let (_, second) = draft_of(&path).unwrap();
        assert_ne!(first, second);
        let name = second.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("a.") && name.ends_with(".tmp"), "{name}");
        replace_file(&path, b"content").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"content");
    }
}
