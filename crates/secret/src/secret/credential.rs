//! A reference as a part of an identity: its place counts, or, if it is the secret itself, a hash that
//! only this process can make.

use std::{fmt, path::PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use super::{SecretRef, Source, places};
use biped_error::{Clock, Error};

use crate::identity::{KeyedHash, Mark, of_this_process};

impl SecretRef {
    /// Returns a mark that tells this reference from others within this process.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let mut hash = of_this_process().hash(b"biped reference");
        hash.count(self.sources.len());
        for source in self.sources.iter() {
            source.hash(&mut hash);
        }
        hash.end()
    }

    /// Returns the text, if it is a single inline one.
    #[must_use]
    pub fn as_inline(&self) -> Option<&SecretString> {
        match &*self.sources {
            [source] => source.inline(),
            _ => None,
        }
    }

    /// Returns the places that it names, in the order in which they are tried.
    pub fn members(&self) -> impl Iterator<Item = Member<'_>> {
        let places = self.sources.iter().enumerate();
        places.map(|(at, source)| Member {
            reference: self,
            at,
            source,
        })
    }

    /// Returns the places in words, in the order in which they are tried: `env:NEW, env:OLD`. A secret
    /// that is written where it is used is in `the configuration`.
    #[must_use]
    pub fn places(&self) -> String {
        let places = self.sources.iter().map(|source| match source.inline() {
            Some(_) => "the configuration".to_owned(),
            None => source.to_string(),
        });
        places.collect::<Vec<_>>().join(", ")
    }
}

/// One of the places that a [`SecretRef`] names.
#[derive(Clone, Copy)]
pub struct Member<'a> {
    reference: &'a SecretRef,
    at: usize,
    source: &'a Source,
}

impl Member<'_> {
    /// Returns its number among the places, from 0.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Returns whether the [`SecretRef`] names other places as well.
    #[must_use]
    pub fn is_one_of_several(&self) -> bool {
        self.reference.candidates() > 1
    }

    /// Returns the file that it is in, with the values of the variables in its path.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        self.source.file()
    }

    /// Returns whether it can be read without running a command.
    #[must_use]
    pub fn is_free_to_read(&self) -> bool {
        self.source.is_free_to_read()
    }

    /// Reads the secret from this place.
    ///
    /// # Errors
    /// [`Secret`](biped_error::ErrorKind::Secret), as for [`SecretRef::resolve`].
    pub async fn read(&self, clock: &dyn Clock) -> Result<SecretString, Error> {
        self.reference.resolve(self.at, clock).await
    }

    /// Returns whether a read of `reference` at the place `candidate` was a read of this place.
    #[must_use]
    pub fn is(&self, reference: &SecretRef, candidate: usize) -> bool {
        let last = self.reference.sources.len().saturating_sub(1);
        self.at == candidate.min(last) && self.reference == reference
    }

    /// Adds the place; of an inline secret nothing but that it is inline.
    pub fn hash_place(&self, hash: &mut KeyedHash) {
        match self.source {
            Source::Inline(_) => hash.bytes(b"inline"),
            source => source.hash(hash),
        }
    }

    /// Returns the inline text, if it is one.
    #[must_use]
    pub fn inline(&self) -> Option<&SecretString> {
        self.source.inline()
    }
}

impl fmt::Debug for Member<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Member")
            .field(&self.source.to_string())
            .finish()
    }
}

/// Shows the place; of a command only the program, and nothing of an inline secret.
impl fmt::Display for Member<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Source {
    fn file(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Template(text, directory) => places::expanded(text, directory.as_deref()).ok(),
            Self::Field(place, _) => place.file(),
            Self::Inline(_) | Self::Env(_) | Self::Command(_) | Self::Custom(_) => None,
        }
    }

    fn hash(&self, hash: &mut KeyedHash) {
        match self {
            Self::Inline(secret) => {
                hash.bytes(b"inline");
                hash.bytes(secret.expose_secret().as_bytes());
            }
            Self::Env(name) => {
                hash.bytes(b"env");
                hash.bytes(name.as_bytes());
            }
            Self::File(path) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
                hash.bytes(b"file");
                hash.bytes(path.as_os_str().as_encoded_bytes());
            }
            Self::Template(text, directory) => {
                hash.bytes(b"template");
                hash.bytes(text.as_bytes());
                let directory = directory.as_deref().unwrap_or("".as_ref());
                hash.bytes(directory.as_os_str().as_encoded_bytes());
            }
            Self::Field(place, pointer) => {
                hash.bytes(b"field");
                place.hash(hash);
                hash.bytes(pointer.as_bytes());
            }
            Self::Custom(source) => {
                hash.bytes(b"source");
                hash.bytes(source.identity().as_bytes());
            }
            Self::Command(argv) => {
                hash.bytes(b"cmd");
                hash.count(argv.len());
                for argument in argv {
                    hash.bytes(argument.as_bytes());
                }
            }
        }
    }
}
