//! [`Directory`]: the files of a sandbox, which are removed with it.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use fs4::FileExt;
use tempfile::TempDir;

/// How the name of each directory starts.
const PREFIX: &str = "biped-sandbox-";

/// The file that a sandbox keeps locked while it runs. The system unlocks it if the process is killed.
const LOCK: &str = ".lock";

#[cfg(unix)]
const PRIVATE: u32 = 0o700;

/// A directory of its own. One that a killed sandbox left behind is removed by the next that starts.
#[derive(Debug)]
pub(super) struct Directory {
    // Unlocked before the directory is removed.
    _lock: File,
    directory: TempDir,
}

impl Directory {
    /// A new directory among the temporary files.
    pub(super) fn new() -> io::Result<Self> {
        Self::below(&std::env::temp_dir())
    }

    fn below(parent: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX);
        // Its keys and tokens are those of this user.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(PRIVATE));
        let directory = builder.tempdir_in(parent)?;
        // The file has its name only once it is locked: no other sandbox sees it unlocked before.
        let unnamed = directory.path().join(".new");
        let lock = File::create_new(&unnamed)?;
        FileExt::try_lock(&lock).map_err(io::Error::from)?;
        fs::rename(&unnamed, directory.path().join(LOCK))?;
        let all = Self {
            _lock: lock,
            directory,
        };
        #[cfg(unix)]
        all.remove_those_left_behind(parent);
        Ok(all)
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Removes the directories that killed sandboxes of this user left behind. One that is not private
    /// to this user, or has no lock, stays: another program may have made it.
    #[cfg(unix)]
    fn remove_those_left_behind(&self, parent: &Path) {
        use std::os::unix::fs::MetadataExt as _;
        let Ok(own) = fs::symlink_metadata(self.path()) else {
            return;
        };
        let is_private = |path: &Path| {
            fs::symlink_metadata(path).is_ok_and(|it| {
                it.is_dir() && it.uid() == own.uid() && it.mode() & 0o7777 == PRIVATE
            })
        };
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let is_named_so = entry.file_name().to_string_lossy().starts_with(PREFIX);
            let path = entry.path();
            if !is_named_so || !is_private(&path) {
                continue;
            }
            if let Ok(lock) = File::open(path.join(LOCK))
                && FileExt::try_lock(&lock).is_ok()
            {
                // Another sandbox may remove it at the same time.
                let _ = fs::remove_dir_all(&path);
            }
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    /// What a killed sandbox leaves behind: its directory, with a lock that nothing holds.
    fn left_behind(parent: &Path) -> std::path::PathBuf {
        let Directory { _lock, directory } = Directory::below(parent).unwrap();
        fs::write(directory.path().join("kubernetes.jwt"), "x").unwrap();
        directory.keep()
    }

    #[test]
    fn what_killed_sandboxes_left_behind_is_removed_by_the_next() {
        let parent = tempfile::tempdir().unwrap();
        let (first, second) = (left_behind(parent.path()), left_behind(parent.path()));
        assert!(!first.exists() && second.exists());
        let _next = Directory::below(parent.path()).unwrap();
        assert!(!second.exists());
    }

    #[test]
    fn a_running_sandbox_keeps_its_directory_and_removes_it_in_the_end() {
        let parent = tempfile::tempdir().unwrap();
        let running = Directory::below(parent.path()).unwrap();
        let next = Directory::below(parent.path()).unwrap();
        assert!(running.path().exists() && next.path().exists());
        let mode = fs::metadata(next.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, PRIVATE);
        drop((running, next));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_not_the_sandboxes_stays() {
        let parent = tempfile::tempdir().unwrap();
        let named = |name: &str| parent.path().join(name);
        let unlocked = |name: &str, mode: u32| {
            fs::create_dir(named(name)).unwrap();
            fs::write(named(name).join(LOCK), "").unwrap();
            fs::set_permissions(named(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        unlocked("elsewhere", PRIVATE);
        unlocked("biped-sandbox-open", 0o755);
        symlink(named("elsewhere"), named("biped-sandbox-link")).unwrap();
        fs::create_dir(named("biped-sandbox-without-lock")).unwrap();
        let private = fs::Permissions::from_mode(PRIVATE);
        fs::set_permissions(named("biped-sandbox-without-lock"), private).unwrap();
        fs::write(named("biped-sandbox-file"), "").unwrap();
        let _next = Directory::below(parent.path()).unwrap();
        for name in [
            "elsewhere/.lock",
            "biped-sandbox-open/.lock",
            "biped-sandbox-link/.lock",
            "biped-sandbox-without-lock",
            "biped-sandbox-file",
        ] {
            assert!(named(name).exists(), "{name}");
        }
    }
}
