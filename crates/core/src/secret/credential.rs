//! A reference as a part of an identity: by its place, and where it is the secret itself, by a hash
//! that only this process can make.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::{SecretRef, Source};
use crate::{
    Clock, Error,
    identity::{KeyedHash, Mark, of_this_process},
};

impl SecretRef {
    /// What tells this reference from others within this process.
    pub(crate) fn mark(&self) -> Mark {
        let mut hash = of_this_process().hash(b"biped reference");
        hash.count(self.sources.len());
        for source in self.sources.iter() {
            source.hash(&mut hash);
        }
        hash.end()
    }

    /// Whether one of the secrets is here.
    pub(crate) fn has_inline(&self) -> bool {
        let is_inline = |source: &Source| matches!(source, Source::Inline(_));
        self.sources.iter().any(is_inline)
    }

    /// Whether it is one secret, and that is here.
    pub(crate) fn is_inline(&self) -> bool {
        matches!(&*self.sources, [Source::Inline(_)])
    }

    /// Whether this is the text itself.
    pub(crate) fn is_text(&self, text: &str) -> bool {
        matches!(&*self.sources, [Source::Inline(secret)] if secret.expose_secret() == text)
    }

    /// The places, for what depends on each of them.
    pub(crate) fn members(&self) -> impl Iterator<Item = Member<'_>> {
        let source = |at| self.sources.get(at);
        (0..self.sources.len()).filter_map(move |at| {
            Some(Member {
                reference: self,
                at,
                source: source(at)?,
            })
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
    /// Whether looking there costs nothing worth counting.
    pub(crate) fn is_free_to_read(&self) -> bool {
        !matches!(self.source, Source::Command(_) | Source::Custom(_))
    }

    pub(crate) async fn read(&self, clock: &dyn Clock) -> Result<SecretString, Error> {
        self.reference.resolve(self.at, clock).await
    }

    /// Whether what was read for this candidate was read here.
    pub(crate) fn is(&self, reference: &SecretRef, candidate: usize) -> bool {
        let last = self.reference.sources.len().saturating_sub(1);
        self.at == candidate.min(last) && self.reference == reference
    }

    /// The place; of a secret that is here nothing.
    pub(crate) fn hash_place(&self, hash: &mut KeyedHash) {
        match self.source {
            Source::Inline(_) => hash.bytes(b"inline"),
            source => source.hash(hash),
        }
    }

    /// The text, where it is here.
    pub(crate) fn inline(&self) -> Option<&SecretString> {
        match self.source {
            Source::Inline(secret) => Some(secret),
            _ => None,
        }
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
            Self::Custom(source) => {
                hash.bytes(b"source");
                hash.bytes(source.reference().as_bytes());
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
