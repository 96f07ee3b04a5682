//! [`Trusted`]: the configuration files that the user trusts, and the question whether to trust one.

use std::{
    fs,
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
};

use biped::{
    Error,
    config::{Reach, read_file_if, replace_file},
    provider::wire,
};
use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The configuration files that the user trusts. Each has a record in the platform's directory for
/// user state.
#[derive(Debug)]
pub(crate) struct Trusted {
    directory: PathBuf,
}

/// Whether a file is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Trusted,
    /// It was trusted, but has changed since.
    Changed,
    Unknown,
}

/// The record of a file: its path, and a digest of what it reaches. The digest has its own random key,
/// so that the record does not reveal the file's contents.
#[derive(Serialize, Deserialize)]
struct Record {
    path: String,
    key: String,
    digest: String,
}

/// The maximum size of a record, in bytes.
const LARGEST: usize = 64 * 1024;

/// Where the command keeps what it remembers; `None` without a home directory.
pub(crate) fn state_directory() -> Option<PathBuf> {
    let base = etcetera::choose_base_strategy().ok()?;
    let state = base.state_dir().unwrap_or_else(|| base.data_dir());
    Some(state.join("biped"))
}

impl Trusted {
    pub(crate) fn of_user() -> Result<Self, Error> {
        let state = state_directory().ok_or_else(|| {
            Error::configuration("the record of trusted files needs a home directory")
        })?;
        Ok(Self::in_directory(state.join("trust")))
    }

    fn in_directory(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Returns whether the file at a [place](place_of), with this reach, is trusted.
    pub(crate) fn standing(&self, place: &Path, reach: &Reach) -> Standing {
        let Some(record) = read(&self.record_of(place)) else {
            return Standing::Unknown;
        };
        match from_hex(&record.key) {
            Some(key) if hex(&reach.digest(&key)) == record.digest => Standing::Trusted,
            _ => Standing::Changed,
        }
    }

    /// Trusts a file from now on.
    pub(crate) fn record(&self, place: &Path, reach: &Reach) -> Result<(), Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| Error::internal(error.to_string()))?;
        let record = Record {
            path: place.display().to_string(),
            key: hex(&key),
            digest: hex(&reach.digest(&key)),
        };
        let text = serde_json::to_string(&record).map_err(|_| {
            Error::internal("the record of a trusted file can't be written as JSON")
        })?;
        self.write(&self.record_of(place), text.as_bytes())
            .map_err(|error| self.failed("written", &error))
    }

    /// Stops trusting a file; returns whether it was trusted.
    pub(crate) fn revoke(&self, place: &Path) -> Result<bool, Error> {
        match fs::remove_file(self.record_of(place)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.failed("removed", &error)),
        }
    }

    /// Returns the places of all trusted files, sorted.
    pub(crate) fn places(&self) -> Result<Vec<String>, Error> {
        let files = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files.map_err(|error| self.failed("read", &error))?,
        };
        let paths = files.flatten().map(|file| file.path());
        let records = paths.filter(|path| path.extension().is_some_and(|it| it == "json"));
        let mut places: Vec<_> = records.filter_map(|path| Some(read(&path)?.path)).collect();
        places.sort();
        Ok(places)
    }

    fn record_of(&self, place: &Path) -> PathBuf {
        let name = hex(&Sha256::digest(place.as_os_str().as_encoded_bytes()));
        self.directory.join(format!("{name}.json"))
    }

    /// Replaces a record atomically.
    fn write(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.directory)?;
        #[cfg(unix)]
        fs::set_permissions(
            &self.directory,
            std::os::unix::fs::PermissionsExt::from_mode(0o700),
        )?;
        replace_file(path, text)
    }

    fn failed(&self, what: &str, error: &io::Error) -> Error {
        let directory = self.directory.display();
        Error::configuration(format!(
            "the record of trusted files in {directory} can't be {what}: {error}"
        ))
    }
}

/// Reads a record, if only its user can have written it.
fn read(path: &Path) -> Option<Record> {
    let text = read_file_if(path, LARGEST, |found| match is_ours(found) {
        true => Ok(()),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    });
    serde_json::from_slice(&text.ok()?).ok()
}

#[cfg(unix)]
fn is_ours(found: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    found.is_file()
        && found.uid() == rustix::process::geteuid().as_raw()
        && found.mode() & 0o022 == 0
}

#[cfg(not(unix))]
fn is_ours(found: &fs::Metadata) -> bool {
    found.is_file()
}

/// Returns a file's absolute path. A link to the file is not resolved, because paths in the file are
/// relative to the link.
pub(crate) fn place_of(path: &Path) -> Result<PathBuf, Error> {
    let directory = match path.parent() {
        Some(directory) if directory != Path::new("") => directory,
        _ => Path::new("."),
    };
    let shown = path.display();
    let directory = directory
        .canonicalize()
        .map_err(|error| Error::configuration(format!("{shown} can't be found: {error}")))?;
    let name = path
        .file_name()
        .ok_or_else(|| Error::configuration(format!("{shown} is not a file")))?;
    Ok(directory.join(name))
}

/// Returns a path for display.
pub(crate) fn shown(place: &Path) -> String {
    wire::escaped(&place.to_string_lossy()).into_owned()
}

/// Asks whether to trust a file. Every answer but `y` or `yes` means no.
pub(crate) fn ask(
    mut input: impl BufRead,
    mut output: impl Write,
    place: &Path,
    standing: Standing,
    reach: &Reach,
) -> io::Result<bool> {
    let how = match standing {
        Standing::Changed => "has changed since it was trusted",
        _ => "is not trusted yet",
    };
    writeln!(output, "{} {how}. It contains:", shown(place))?;
    for line in reach.lines() {
        writeln!(output, "  {line}")?;
    }
    write!(output, "Trust it? [y/N] ")?;
    output.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use biped::{
        Biped,
        config::{ConfigFile, OwnerCheck},
    };

    use super::*;

    fn reach(directory: &Path, text: &str) -> Reach {
        let path = directory.join("biped.toml");
        fs::write(&path, text).unwrap();
        let file = ConfigFile::open(path, OwnerCheck::Warn).unwrap();
        Biped::builder().reach(&file).unwrap()
    }

    const SHOP: &str = "[providers.shop]\nkind = 'envelope'\nbase_url = 'https://api.shop.example'\n\
                        client_id = 'a'\nclient_secret = { cmd = ['pass', 'show', \"a\\u001bb\"] }\n";

    #[test]
    fn only_a_clear_yes_is_one_and_the_question_shows_commands_and_hosts() {
        let directory = tempfile::tempdir().unwrap();
        let reach = reach(directory.path(), SHOP);
        for (answer, means) in [
            ("y\n", true),
            (" YES \n", true),
            ("\n", false),
            ("", false),
            ("n\n", false),
            ("yesterday\n", false),
        ] {
            let mut shown = Vec::new();
            let place = Path::new("/srv/a\u{1b}b/biped.toml");
            let asked = ask(
                answer.as_bytes(),
                &mut shown,
                place,
                Standing::Unknown,
                &reach,
            );
            assert_eq!(asked.unwrap(), means, "{answer:?}");
            let shown = String::from_utf8(shown).unwrap();
            for part in ["\"pass\", \"show\"", "https://api.shop.example", "/srv/a"] {
                assert!(shown.contains(part), "{shown}");
            }
            assert!(!shown.contains('\u{1b}'), "{shown:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_record_is_private_and_one_that_others_may_write_counts_for_nothing() {
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let reach = reach(directory.path(), SHOP);
        let trusted = Trusted::in_directory(directory.path().join("state/biped/trust"));
        let place = place_of(&directory.path().join("biped.toml")).unwrap();
        assert_eq!(trusted.standing(&place, &reach), Standing::Unknown);
        trusted.record(&place, &reach).unwrap();
        assert_eq!(trusted.standing(&place, &reach), Standing::Trusted);
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let record = trusted.record_of(&place);
        assert_eq!((mode(&record), mode(&trusted.directory)), (0o600, 0o700));
        assert_eq!(fs::read_dir(&trusted.directory).unwrap().count(), 1);

        fs::set_permissions(&record, fs::Permissions::from_mode(0o622)).unwrap();
        assert_eq!(trusted.standing(&place, &reach), Standing::Unknown);
    }

    #[test]
    fn trust_is_of_a_place_and_can_be_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let reach = reach(directory.path(), SHOP);
        let trusted = Trusted::in_directory(directory.path().join("trust"));
        let [here, there] = ["a/biped.toml", "b/biped.toml"].map(Path::new);
        trusted.record(here, &reach).unwrap();
        assert_eq!(trusted.standing(here, &reach), Standing::Trusted);
        assert_eq!(trusted.standing(there, &reach), Standing::Unknown);
        assert_eq!(trusted.places().unwrap(), ["a/biped.toml"]);
        assert!(trusted.revoke(here).unwrap() && !trusted.revoke(here).unwrap());
        assert_eq!(trusted.standing(here, &reach), Standing::Unknown);
    }
}
