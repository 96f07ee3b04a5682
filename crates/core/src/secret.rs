//! [`SecretRef`]: where a secret is, not what it is.

mod command;
mod credential;
mod places;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

pub(crate) use self::command::COMMAND_REST;
pub use self::command::COMMAND_TIMEOUT;
pub(crate) use self::credential::Member;
use crate::{Clock, Error, References};

/// Where a secret is: in the environment, in a file, in what a command prints, or here.
///
/// It is resolved at each fetch and dropped after it, so that a rotated secret needs no restart.
/// It may name several places; they are tried in order when the vendor says `invalid_client`, so
/// that an old and a new secret can overlap.
///
/// ```
/// use biped_core::SecretRef;
///
/// let from_file: SecretRef = "file:/run/secrets/shop".parse()?;
/// let from_environment: SecretRef = "env:SHOP_SECRET".parse()?;
/// let either = from_environment.or(&from_file);
/// assert_eq!(format!("{either:?}"), "[env:SHOP_SECRET, file:/run/secrets/shop]");
/// # Ok::<(), biped_core::Error>(())
/// ```
#[derive(Clone)]
pub struct SecretRef {
    sources: Arc<[Source]>,
    /// Where the reference stands, for errors.
    stands: Option<Arc<str>>,
    /// Which of the places may be looked at.
    references: References,
}

#[derive(Clone)]
enum Source {
    Inline(SecretString),
    Env(Box<str>),
    File(PathBuf),
    Command(Box<[String]>),
}

impl SecretRef {
    /// The secret itself.
    #[must_use]
    pub fn inline(secret: impl Into<SecretString>) -> Self {
        Self::one(Source::Inline(secret.into()))
    }

    /// The value of an environment variable, byte for byte.
    #[must_use]
    pub fn env(name: impl Into<String>) -> Self {
        Self::one(Source::Env(name.into().into()))
    }

    /// The content of a regular file of at most 1 MiB, without a newline at its end. It is read in
    /// 10 s or not at all ([`read_file`](crate::read_file)).
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::one(Source::File(path.into()))
    }

    /// What a command prints, without a newline at its end. It runs without a shell and has 10 s.
    ///
    /// On Unix it is a process group of its own, which is killed as a whole when the time is over
    /// or the answer is no longer wanted. What it has printed when it ends is the secret, even if a
    /// process that it left behind could print more. It can't ask for anything on a terminal.
    #[must_use]
    pub fn command(argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let argv = argv.into_iter().map(Into::into);
        Self::one(Source::Command(argv.collect()))
    }

    fn one(source: Source) -> Self {
        Self {
            sources: [source].into(),
            stands: None,
            references: References::All,
        }
    }

    /// This one first, then `other`.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let both = self.sources.iter().chain(other.sources.iter());
        Self {
            sources: both.cloned().collect(),
            stands: self.stands.clone(),
            references: self.references.max(other.references),
        }
    }

    /// Says where the reference stands, such as `providers.shop.client_secret, biped.toml:7`: the
    /// errors of [`resolve`](Self::resolve) tell it. Two references are the same wherever they stand.
    #[must_use]
    pub fn standing_at(mut self, place: impl Into<Arc<str>>) -> Self {
        self.stands = Some(place.into());
        self
    }

    /// How many places it names: 1, unless several overlap.
    #[must_use]
    pub fn candidates(&self) -> usize {
        self.sources.len()
    }

    /// Whether one of the secrets is here, and empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.sources.iter().any(|source| match source {
            Source::Inline(secret) => secret.expose_secret().is_empty(),
            _ => false,
        })
    }

    /// Takes relative file names as relative to `directory`.
    #[must_use]
    pub fn relative_to(&self, directory: &Path) -> Self {
        let place = |source: &Source| match source {
            Source::File(path) => Source::File(directory.join(path)),
            other => other.clone(),
        };
        Self {
            sources: self.sources.iter().map(place).collect(),
            stands: self.stands.clone(),
            references: self.references,
        }
    }

    /// Looks at no other places than these from now on: reading a secret elsewhere is an error.
    #[must_use]
    pub fn limited_to(mut self, references: References) -> Self {
        self.references = self.references.max(references);
        self
    }

    /// Refuses a place that must not be looked at.
    fn permit(&self, source: &Source) -> Result<(), Error> {
        let is_permitted = match (self.references, source) {
            (_, Source::Inline(_)) | (References::All, _) => true,
            (References::WithoutCommands, source) => !matches!(source, Source::Command(_)),
            (References::None, _) => false,
        };
        if is_permitted {
            return Ok(());
        }
        Err(Error::secret(format!(
            "{source} is not resolved where a configuration is only shown"
        )))
    }

    /// What stands for this reference where a name is needed that is not a secret, such as the client
    /// identifier in a [`ProviderId`](crate::ProviderId): its value where it can be read at once,
    /// else the reference. Reads a file (within 10 s) or the environment, runs no command.
    ///
    /// Two references can have the same text here:
    /// [`ProviderId::identifier`](crate::ProviderId::identifier) tells them apart. Not for secrets:
    /// the value is in it, and ids are shown.
    #[must_use]
    pub fn identity(&self) -> String {
        let Some(first) = self.sources.first() else {
            return String::new();
        };
        match first {
            Source::Env(_) | Source::File(_) if self.permit(first).is_err() => first.to_string(),
            Source::Inline(secret) => secret.expose_secret().to_owned(),
            Source::Env(name) => std::env::var(&**name).unwrap_or_else(|_| first.to_string()),
            Source::File(path) => places::value_of_file(path).unwrap_or_else(|| first.to_string()),
            // Not its arguments, which may be secrets: the id's credential tells two commands apart.
            Source::Command(_) => first.to_string(),
        }
    }

    /// Reads the secret at its first place at once, for settings that are read when a program
    /// starts. It may block for 10 s, on a file or a command.
    ///
    /// # Errors
    /// [`Secret`](crate::ErrorKind::Secret), as for [`resolve`](Self::resolve).
    pub fn read_now(&self) -> Result<SecretString, Error> {
        let Some(source) = self.sources.first() else {
            return Err(Error::secret("an empty list names no secret"));
        };
        self.permit(source)?;
        match source {
            Source::Inline(secret) => Ok(secret.clone()),
            Source::Env(name) => places::from_environment(name),
            Source::File(path) => places::from_file_now(path),
            Source::Command(argv) => command::from_command_now(argv),
        }
    }

    /// Whether looking at the place costs a process, so that it is looked at less often.
    pub(crate) fn runs_command(&self) -> bool {
        self.sources
            .iter()
            .any(|source| matches!(source, Source::Command(_)))
    }

    /// Reads the secret at one of its places (the last, where it names fewer).
    ///
    /// # Errors
    /// [`Secret`](crate::ErrorKind::Secret); transient for a file that is missing or empty, or whose
    /// file system does not respond, and for a command that fails: somebody may be in the middle of
    /// replacing it.
    pub async fn resolve(
        &self,
        candidate: usize,
        clock: &dyn Clock,
    ) -> Result<SecretString, Error> {
        let Some(source) = self.sources.get(candidate).or(self.sources.last()) else {
            return Err(Error::secret("an empty list names no secret"));
        };
        self.permit(source)?;
        let read = match source {
            Source::Inline(secret) => Ok(secret.clone()),
            Source::Env(name) => places::from_environment(name),
            Source::File(path) => places::from_file(path, clock).await,
            Source::Command(argv) => command::from_command(argv, clock).await,
        };
        read.map_err(|error| match &self.stands {
            Some(place) => {
                let message = format!("{} ({place})", error.message());
                error.with_message(message)
            }
            None => error,
        })
    }
}

/// Reads `env:NAME`, `file:PATH`, `cmd:PROGRAM ARGUMENT…` (separated by spaces) or
/// `inline:SECRET`; anything else is the secret itself.
impl std::str::FromStr for SecretRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let needs = |what: &str| Err(Error::configuration(what.to_owned()));
        if let Some(name) = text.strip_prefix("env:") {
            return match name {
                "" => needs("env: needs the name of a variable"),
                name if name.contains(['=', '\0']) => {
                    needs("env: needs the name of a variable; an equals sign can't be in one")
                }
                name => Ok(Self::env(name)),
            };
        }
        if let Some(path) = text.strip_prefix("file:") {
            return if path.is_empty() {
                needs("file: needs a path")
            } else {
                Ok(Self::file(path))
            };
        }
        if let Some(command) = text.strip_prefix("cmd:") {
            let argv: Vec<_> = command.split_ascii_whitespace().collect();
            return if argv.is_empty() {
                needs("cmd: needs a program")
            } else {
                Ok(Self::command(argv))
            };
        }
        Ok(Self::inline(text.strip_prefix("inline:").unwrap_or(text)))
    }
}

impl PartialEq for SecretRef {
    fn eq(&self, other: &Self) -> bool {
        self.sources == other.sources
    }
}

impl Eq for SecretRef {}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inline(a), Self::Inline(b)) => a.expose_secret() == b.expose_secret(),
            (Self::Env(a), Self::Env(b)) => a == b,
            (Self::File(a), Self::File(b)) => a == b,
            (Self::Command(a), Self::Command(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Source {}

/// The place; of a command the program only, since its arguments may be secrets.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("[redacted]"),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Command(argv) => write!(f, "cmd:{}", argv.first().map_or("", |name| name)),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.sources {
            [one] => one.fmt(f),
            several => {
                f.write_str("[")?;
                for (at, source) in several.iter().enumerate() {
                    let separator = if at == 0 { "" } else { ", " };
                    write!(f, "{separator}{source}")?;
                }
                f.write_str("]")
            }
        }
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Tells whether a secret is still the same without keeping it: a hash under a key that this
/// process made up.
#[derive(Clone)]
pub(crate) struct Fingerprints([u8; 32]);

impl Fingerprints {
    pub(crate) fn new() -> Self {
        let mut key = [0; 32];
        key.fill_with(|| fastrand::u8(..));
        Self(key)
    }

    pub(crate) fn of(&self, secret: &SecretString) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.0)
            .chain_update(secret.expose_secret())
            .finalize()
            .into()
    }
}
