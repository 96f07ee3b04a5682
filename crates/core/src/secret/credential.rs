//! A reference as a part of an identity: its place counts, or, if it is the secret itself, a hash that
//! only this process can make.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::{SecretRef, Source};
use crate::{
    Clock, Error,
    identity::{KeyedHash, Mark, of_this_process},
};

impl SecretRef {
    /// A mark that tells this reference from others within this process.
    pub(crate) fn mark(&self) -> Mark {
        let mut hash = of_this_process().hash(b"biped reference");
        hash.count(self.sources.len());
        for source in self.sources.iter() {
            source.hash(&mut hash);
        }
        hash.end()
    }

    /// Whether one of the secrets is inline.
    pub(crate) fn has_inline(&self) -> bool {
        self.sources.iter().any(|source| source.inline().is_some())
    }

    /// Whether it is a single inline secret.
    pub(crate) fn is_inline(&self) -> bool {
        matches!(&*self.sources, [Source::Inline(_)])
    }

    /// Whether it is `text`, inline.
    pub(crate) fn is_text(&self, text: &str) -> bool {
        matches!(&*self.sources, [Source::Inline(secret)] if secret.expose_secret() == text)
    }

    /// The places that it names.
    pub(crate) fn members(&self) -> impl Iterator<Item = Member<'_>> {
        let places = self.sources.iter().enumerate();
        places.map(|(at, source)| Member {
            reference: self,
            at,
            source,
        })
    }
}

/// One of the places that a reference names.
#[derive(Clone, Copy)]
pub(crate) struct Member<'a> {
    reference: &'a SecretRef,
    pub(crate) at: usize,
    source: &'a Source,
}

impl Member<'_> {
    /// Whether it can be read without running a command.
    pub(crate) fn is_free_to_read(&self) -> bool {
        self.source.is_free_to_read()
    }

    pub(crate) async fn read(&self, clock: &dyn Clock) -> Result<SecretString, Error> {
        self.reference.resolve(self.at, clock).await
    }

    /// Whether a read of `reference` at the place `candidate` was a read of this place.
    pub(crate) fn is(&self, reference: &SecretRef, candidate: usize) -> bool {
        let last = self.reference.sources.len().saturating_sub(1);
        self.at == candidate.min(last) && self.reference == reference
    }

    /// Adds the place; of an inline secret nothing but that it is inline.
    pub(crate) fn hash_place(&self, hash: &mut KeyedHash) {
        match self.source {
            Source::Inline(_) => hash.bytes(b"inline"),
            source => source.hash(hash),
        }
    }

    /// The inline text, if it is one.
    pub(crate) fn inline(&self) -> Option<&SecretString> {
        self.source.inline()
    }
}

impl Source {
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
