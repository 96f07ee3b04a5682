//! [`SecretRef`]: where a secret is, not what it is.

mod command;
mod credential;
mod field;
mod list;
mod oddity;
mod places;
mod source;
mod used;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};

use self::command::COMMAND_REST;
pub use self::command::COMMAND_TIMEOUT;
pub use self::{
    credential::Member,
    source::{SecretSource, SourceContext},
    used::{SecretUse, name_credentials},
};
use biped_error::{Clock, Error};

/// How long after a refusal a secret is read again.
const SECRET_RECHECK: Duration = Duration::from_secs(1);

/// Where a secret is: in the environment, in a file, in a command's output, or in this value itself.
///
/// It is resolved at each fetch and dropped afterwards, so that a rotated secret needs no restart. It
/// may name several places, which are tried in order if the vendor answers `invalid_client`, so that
/// an old and a new secret can overlap. A place that can't be read is passed over.
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
    /// Where the reference is configured, for errors.
    configured_at: Option<Arc<str>>,
    /// Which of the places may be read.
    references: References,
}

#[derive(Clone)]
enum Source {
    Inline(SecretString),
    Env(Box<str>),
    File(PathBuf),
    /// A file whose path contains variables, and the directory that a relative path is relative to.
    Template(Box<str>, Option<PathBuf>),
    /// A field of the JSON in another place, by its pointer.
    Field(Box<Self>, Box<str>),
    Command(Box<[String]>),
    Custom(Arc<dyn SecretSource>),
}

/// Which references (`env:`, `file:`, `cmd`) of a configuration may be resolved.
///
/// Code that only shows a configuration runs no commands, and a configuration that is not trusted
/// resolves no references.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum References {
    /// All of them.
    #[default]
    All,
    /// References to variables and files. No command is run, and no [`SecretSource`] is read.
    WithoutCommands,
    /// None.
    None,
}

impl SecretRef {
    /// Creates a reference that contains the secret itself.
    #[must_use]
    pub fn inline(secret: impl Into<SecretString>) -> Self {
        Self::one(Source::Inline(secret.into()))
    }

    /// Creates a reference to the value of an environment variable, byte for byte.
    #[must_use]
    pub fn env(name: impl Into<String>) -> Self {
        Self::one(Source::Env(name.into().into()))
    }

    /// Creates a reference to the content of a regular file of at most 1 MiB, without a newline at its
    /// end. Reading it may take at most 10 s ([`read_file`](biped_io::read_file)).
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::one(Source::File(path.into()))
    }

    /// Creates a reference to the output of a command, without a newline at its end. The command runs
    /// without a shell and may take 10 s ([`COMMAND_TIMEOUT`]).
    ///
    /// On Unix the command is a process group of its own, which is killed when the time is over or the
    /// secret is no longer needed. The secret is what the command has printed when it ends, even if a
    /// process that it left behind could print more. The command can't prompt on a terminal.
    #[must_use]
    pub fn command(argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let argv = argv.into_iter().map(Into::into);
        Self::one(Source::Command(argv.collect()))
    }

    /// Returns a reference to the field of the JSON in each of its places, by a JSON Pointer (RFC
    /// 6901) such as `/client_secret`. The field is a text or a number.
    #[must_use]
    pub fn at(&self, pointer: &str) -> Self {
        let field = |source: &Source| Source::Field(source.clone().into(), pointer.into());
        Self {
            sources: self.sources.iter().map(field).collect(),
            ..self.clone()
        }
    }

    /// Creates a reference to what a place of the application's own holds.
    #[must_use]
    pub fn from_source(source: Arc<dyn SecretSource>) -> Self {
        Self::one(Source::Custom(source))
    }

    fn one(source: Source) -> Self {
        Self {
            sources: [source].into(),
            configured_at: None,
            references: References::All,
        }
    }

    /// Returns a reference to the places of this one first, then to those of `other`.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let both = self.sources.iter().chain(other.sources.iter());
        Self {
            sources: both.cloned().collect(),
            references: self.references.max(other.references),
            ..self.clone()
        }
    }

    /// Sets where the reference is configured, such as `providers.shop.client_secret, biped.toml:7`.
    /// The errors of [`resolve`](Self::resolve) say it. Equality of references ignores it.
    #[must_use]
    pub fn configured_at(mut self, place: impl Into<Arc<str>>) -> Self {
        self.configured_at = Some(place.into());
        self
    }

    /// Shares with another reference, in memory, the text that says where it is configured, if it is the
    /// same in both.
    ///
    /// ```
    /// use biped_secret::SecretRef;
    ///
    /// let at = |variable| SecretRef::env(variable).configured_at("biped.toml, line 7");
    /// let mut one = at("ONE_SECRET");
    /// one.share_place(&at("OTHER_SECRET"));
    /// assert_eq!(one.to_string(), "env:ONE_SECRET");
    /// ```
    pub fn share_place(&mut self, other: &Self) {
        if self.configured_at == other.configured_at {
            self.configured_at.clone_from(&other.configured_at);
        }
    }

    /// Returns the number of places that it names.
    #[must_use]
    pub fn candidates(&self) -> usize {
        self.sources.len()
    }

    /// Returns the place with this number as it may be shown, counted from 0, or the last if it names
    /// fewer; "the configuration" for a secret that stands there itself.
    #[must_use]
    pub fn place(&self, candidate: usize) -> String {
        let place = self.sources.get(candidate).or(self.sources.last());
        place.map_or(String::new(), |place| match place.inline() {
            Some(_) => "the configuration".into(),
            None => place.to_string(),
        })
    }

    /// Returns whether one of the secrets is inline and empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let mut inline = self.sources.iter().filter_map(Source::inline);
        inline.any(|secret| secret.expose_secret().is_empty())
    }

    /// Resolves relative file names against `directory`.
    #[must_use]
    pub fn relative_to(&self, directory: &Path) -> Self {
        let place = |source: &Source| source.relative_to(directory);
        Self {
            sources: self.sources.iter().map(place).collect(),
            ..self.clone()
        }
    }

    /// Limits which references are resolved from now on. Reading a secret elsewhere is an error.
    #[must_use]
    pub fn limited_to(mut self, references: References) -> Self {
        self.references = self.references.max(references);
        self
    }

    /// Refuses a place that must not be read.
    fn permit(&self, source: &Source) -> Result<(), Error> {
        if self.references <= source.allowed_by() {
            return Ok(());
        }
        Err(Error::secret(format!(
            "{source} is not read, because the configuration is only shown"
        )))
    }

    /// Returns the error for a reference that names no place.
    #[must_use]
    pub fn names_nothing() -> Error {
        Error::secret("an empty list names no secret").with_remedy("name at least one place")
    }

    /// Returns a name for this reference, such as the client identifier in a `ProviderId`: its
    /// value if it can be read at once, otherwise the reference. A variable or a file is read
    /// (within 10 s); no command is run. It is not for secrets, because ids are shown.
    ///
    /// Two references can have the same name. `ProviderId::identifier`
    /// tells them apart.
    #[must_use]
    pub fn identity(&self) -> String {
        let Some(first) = self.sources.first() else {
            return String::new();
        };
        let (place, pointer) = first.parts();
        if self.permit(first).is_err() {
            return first.to_string();
        }
        let value = match place {
            Source::Inline(secret) => Some(secret.expose_secret().to_owned()),
            Source::Env(name) => std::env::var(&**name).ok(),
            Source::File(path) => places::value_of_file(path),
            Source::Template(text, directory) => places::expanded(text, directory.as_deref())
                .ok()
                .and_then(|path| places::value_of_file(&path)),
            // The program only, since arguments may be secrets. The id's credential tells commands apart.
            _ => None,
        };
        let value = match pointer {
            None => value,
            Some(pointer) => value.and_then(|value| field::value(&value, pointer)),
        };
        value.unwrap_or_else(|| first.to_string())
    }

    /// Returns how long after a refusal the secret is read again, to see whether it changed: 1 s, 30 s
    /// if that runs a command, or what a [`SecretSource`] says; of several places the longest.
    #[must_use]
    pub fn recheck_interval(&self) -> Duration {
        let intervals = self.sources.iter().map(|source| match source.parts().0 {
            Source::Command(_) => COMMAND_REST,
            Source::Custom(source) => source.recheck_interval(),
            _ => SECRET_RECHECK,
        });
        intervals.max().unwrap_or(SECRET_RECHECK)
    }

    /// Reads the secret at the place with this number, counted from 0, or at the last if it names fewer.
    ///
    /// # Errors
    /// [`Secret`](biped_error::ErrorKind::Secret). It is transient for a file that is missing or empty or
    /// whose file system does not respond, and for a command that fails, because the secret may be
    /// about to be replaced.
    pub async fn resolve(
        &self,
        candidate: usize,
        clock: &dyn Clock,
    ) -> Result<SecretString, Error> {
        self.resolve_in(candidate, &SourceContext::new(clock)).await
    }

    /// Reads the secret as [`resolve`](Self::resolve) does, with what a [`SecretSource`] may use:
    /// it sends requests.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub async fn resolve_in(
        &self,
        candidate: usize,
        cx: &SourceContext<'_>,
    ) -> Result<SecretString, Error> {
        let clock = cx.clock;
        let Some(source) = self.sources.get(candidate).or(self.sources.last()) else {
            return Err(Self::names_nothing());
        };
        self.permit(source)?;
        let (place, pointer) = source.parts();
        let read = match place {
            Source::Inline(secret) => Ok(secret.clone()),
            Source::Env(name) => places::from_environment(name),
            Source::File(path) => places::from_file(path, clock).await,
            Source::Template(text, directory) => {
                match places::expanded(text, directory.as_deref()) {
                    Ok(path) => places::from_file(&path, clock).await,
                    Err(error) => Err(error),
                }
            }
            Source::Field(..) => Err(Error::internal("a field of a field is not read")),
            Source::Command(argv) => command::from_command(argv, clock).await,
            Source::Custom(source) => source::read(&**source, cx).await,
        };
        let read = read.and_then(|secret| field::of(secret, pointer, place, place.is_fixed()));
        read.map_err(|error| match &self.configured_at {
            Some(place) => {
                let message = format!("{} ({place})", error.message());
                error.with_message(message)
            }
            None => error,
        })
    }
}

impl SourceContext<'_> {
    /// Reads another secret, such as the one that opens a vault.
    ///
    /// # Errors
    /// As [`SecretRef::resolve`].
    pub async fn secret(&self, secret: &SecretRef) -> Result<SecretString, Error> {
        secret.resolve_any(self).await
    }
}

/// Reads `env:NAME`, `file:PATH`, `cmd:PROGRAM ARGUMENT…` (separated by spaces) or
/// `inline:SECRET`; anything else is the secret itself.
///
/// `env:NAME#/POINTER` and `file:PATH#/POINTER` are a field of the JSON there ([`SecretRef::at`]). In the
/// path of a file, `${NAME}` is an environment variable, such as `${CREDENTIALS_DIRECTORY}`, which is
/// read with the file.
impl std::str::FromStr for SecretRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let needs = |what: &str| Err(Error::configuration(what.to_owned()));
        if let Some(name) = text.strip_prefix("env:") {
            let (name, pointer) = field::split(name);
            let reference = match name {
                "" => needs("env: needs the name of a variable"),
                name if name.contains(['=', '\0']) => {
                    needs("env: needs the name of a variable, which can't contain an equals sign")
                }
                name => Ok(Self::env(name)),
            };
            return reference.map(|it| pointer.map_or(it.clone(), |pointer| it.at(pointer)));
        }
        if let Some(path) = text.strip_prefix("file:") {
            let (path, pointer) = field::split(path);
            let reference = match path {
                "" => return needs("file: needs a path"),
                path if path.contains("${") => Self::one(Source::Template(path.into(), None)),
                path => Self::file(path),
            };
            return Ok(pointer.map_or(reference.clone(), |pointer| reference.at(pointer)));
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

impl Source {
    /// The place that is read, and the pointer to a field of what is there.
    fn parts(&self) -> (&Self, Option<&str>) {
        match self {
            Self::Field(place, pointer) => (place, Some(pointer)),
            place => (place, None),
        }
    }

    fn relative_to(&self, directory: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(directory.join(path)),
            Self::Template(text, None) => Self::Template(text.clone(), Some(directory.into())),
            Self::Field(place, pointer) => {
                Self::Field(place.relative_to(directory).into(), pointer.clone())
            }
            other => other.clone(),
        }
    }

    /// The strictest limit that allows to read it.
    fn allowed_by(&self) -> References {
        match self {
            Self::Inline(_) => References::None,
            Self::Env(_) | Self::File(_) | Self::Template(..) => References::WithoutCommands,
            Self::Field(place, _) => place.allowed_by(),
            Self::Command(_) | Self::Custom(_) => References::All,
        }
    }

    /// Whether it stays as it is while the process lives.
    fn is_fixed(&self) -> bool {
        matches!(self, Self::Inline(_) | Self::Env(_))
    }

    /// Whether it can be read without running a command or asking a [`SecretSource`].
    fn is_free_to_read(&self) -> bool {
        !matches!(self.parts().0, Self::Command(_) | Self::Custom(_))
    }

    fn inline(&self) -> Option<&SecretString> {
        match self {
            Self::Inline(secret) => Some(secret),
            _ => None,
        }
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
            (Self::Template(a, in_a), Self::Template(b, in_b)) => (a, in_a) == (b, in_b),
            (Self::Field(a, at_a), Self::Field(b, at_b)) => (a, at_a) == (b, at_b),
            (Self::Command(a), Self::Command(b)) => a == b,
            (Self::Custom(a), Self::Custom(b)) => a.identity() == b.identity(),
            _ => false,
        }
    }
}

impl Eq for Source {}

/// Shows the place; of a command only the program, since its arguments may be secrets.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("[redacted]"),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Template(text, _) => write!(f, "file:{text}"),
            Self::Field(place, pointer) => write!(f, "{place}#{pointer}"),
            Self::Command(argv) => write!(f, "cmd:{}", argv.first().map_or("", |name| name)),
            Self::Custom(source) => f.write_str(&source.reference()),
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
