//! [`Origin`]: where a value comes from, and what references from there mean.

use std::{any::Any, collections::BTreeMap, fmt, path::Path, sync::Arc};

use biped_core::{Error, References, SecretRef};

use crate::{late::LateHttp, secret::SecretSchemes};

/// Where a value of the configuration is from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A line of a file.
    File {
        /// The path of the file, as it was given.
        path: Arc<Path>,
        /// The line, from 1.
        line: usize,
        /// The byte of the line at which the value starts, from 1; 0 if unknown. It orders the values of
        /// a line, and is not shown.
        column: usize,
    },
    /// An environment variable. Its values are always texts, and secrets in it are inline.
    Variable(Arc<str>),
    /// The application's own code.
    Builder,
    /// An option of a command line, such as `--store`.
    Option(Arc<str>),
    /// The application's default.
    Default,
    /// One of the other origins, with rules for the references in its values.
    Limited {
        /// The origin itself.
        from: Arc<Origin>,
        /// Which references may be resolved.
        references: References,
        /// The schemes that the application registered.
        schemes: SecretSchemes,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, .. } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) | Self::Option(name) => f.write_str(name),
            Self::Builder => f.write_str("the builder"),
            Self::Default => f.write_str("default"),
            Self::Limited { from, .. } => from.fmt(f),
        }
    }
}

impl Origin {
    /// Returns the directory of the configuration file, to which relative paths are relative.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.file()?.parent()
    }

    /// Returns the path of the configuration file, as it was given.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::Limited { from, .. } => from.file(),
            _ => None,
        }
    }

    /// Returns the line of a file, from 1.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::File { line, .. } => Some(*line),
            Self::Limited { from, .. } => from.line(),
            _ => None,
        }
    }

    /// Orders the values of one file.
    pub(crate) fn position(&self) -> (usize, usize) {
        match self {
            Self::File { line, column, .. } => (*line, *column),
            Self::Limited { from, .. } => from.position(),
            _ => (0, 0),
        }
    }

    /// Returns the same origin, from which no other references than these may be resolved.
    #[must_use]
    pub fn limited(self, references: References) -> Self {
        self.ruled(references, &SecretSchemes::default())
    }

    /// Returns the same origin as [`limited`](Self::limited), with schemes beside those that Biped
    /// knows.
    #[must_use]
    pub fn ruled(self, references: References, schemes: &SecretSchemes) -> Self {
        if references == References::All && schemes.is_empty() {
            return self;
        }
        Self::Limited {
            from: self.into(),
            references,
            schemes: schemes.clone(),
        }
    }

    /// Returns the origin itself, without rules for references.
    #[must_use]
    pub fn plain(&self) -> &Self {
        match self {
            Self::Limited { from, .. } => from.plain(),
            plain => plain,
        }
    }

    /// Returns which references from here may be resolved.
    #[must_use]
    pub fn references(&self) -> References {
        match self {
            Self::Limited {
                from, references, ..
            } => from.references().max(*references),
            _ => References::All,
        }
    }

    /// Returns the reference if a text begins with the name of a registered scheme.
    pub(crate) fn reference(&self, text: &str) -> Option<Result<SecretRef, Error>> {
        match self {
            Self::Limited { from, schemes, .. } => {
                schemes.reference(text).or_else(|| from.reference(text))
            }
            _ => None,
        }
    }

    /// Returns the reference if a registered scheme of this name takes tables.
    pub(crate) fn table(
        &self,
        name: &str,
        parts: &BTreeMap<String, String>,
    ) -> Option<Result<SecretRef, Error>> {
        match self {
            Self::Limited { from, schemes, .. } => {
                let known = schemes.table(name, parts);
                known.or_else(|| from.table(name, parts))
            }
            _ => None,
        }
    }

    /// Returns what the registered scheme of this name has
    /// [attached](crate::SecretScheme::with_extension), if it is of this type.
    #[must_use]
    pub fn extension<T: Any>(&self, scheme: &str) -> Option<&T> {
        match self {
            Self::Limited { from, schemes, .. } => {
                schemes.extension(scheme).or_else(|| from.extension(scheme))
            }
            _ => None,
        }
    }

    /// Returns what sends requests for the registered scheme of this name.
    #[must_use]
    pub fn http(&self, scheme: &str) -> Option<&LateHttp> {
        match self {
            Self::Limited { from, schemes, .. } => {
                schemes.http(scheme).or_else(|| from.http(scheme))
            }
            _ => None,
        }
    }

    /// Whether all values from here are texts, and secrets are inline.
    pub(crate) fn is_text_only(&self) -> bool {
        match self {
            Self::Variable(_) => true,
            Self::Limited { from, .. } => from.is_text_only(),
            _ => false,
        }
    }
}
