//! [`StoreKey`]: the name under which a store has tokens, and the secrets that the name depends on.

use super::{
    Credential, ProviderId,
    token_key::{TokenKey, WithoutCredentials},
};
use biped_secret::{Mark, Member, SecretUse};
use secrecy::ExposeSecret as _;

use crate::{Clock, Error, IdentityKey, SecretRef, TokenRequest};

/// The name of tokens in a store, which depends on the present values of the credentials.
#[derive(Debug)]
pub struct StoreKey {
    key: TokenKey,
    identity: Option<IdentityKey>,
    /// The mark of each value that was read for it.
    read: Vec<Read>,
}

/// A value that was read.
#[derive(Debug)]
struct Read {
    /// The number of its credential.
    credential: usize,
    /// The number of its place within the credential.
    at: usize,
    mark: Mark,
}

impl StoreKey {
    /// Returns whether a client's tokens must stay in the process, because a store without an identity
    /// key can't tell the client's secrets from others.
    #[must_use]
    pub fn stays_in_process(identity: Option<&IdentityKey>, id: &ProviderId) -> bool {
        let is_here = |it: &Credential| {
            !it.is_identifier && it.reference.members().any(|place| place.inline().is_some())
        };
        identity.is_none() && (id.client().is_empty() || id.credentials().iter().any(is_here))
    }

    /// Returns the name of the tokens.
    #[must_use]
    pub fn key(&self) -> TokenKey {
        self.key
    }

    /// Returns the identity key of the store, if it has one.
    #[must_use]
    pub fn identity(&self) -> Option<&IdentityKey> {
        self.identity.as_ref()
    }

    /// Makes the key. Variables and files are read for it, commands are not run.
    ///
    /// # Errors
    /// If none of a credential's values can be read.
    pub async fn make(
        identity: Option<IdentityKey>,
        id: &ProviderId,
        request: &TokenRequest,
        clock: &dyn Clock,
    ) -> Result<Self, Error> {
        let mut made = Self {
            key: TokenKey::new(id, request),
            identity,
            read: Vec::new(),
        };
        let Some(identity) = &made.identity else {
            return Ok(made);
        };
        let mut key = WithoutCredentials::new(Some(identity), id, request);
        for (number, credential) in id.credentials().iter().enumerate() {
            let mut parts = Vec::new();
            let mut missing = None;
            for member in credential.reference.members() {
                if !member.is_free_to_read() {
                    parts.push(place(identity, &member));
                    continue;
                }
                match mark(identity, &member, clock).await {
                    Ok(mark) => {
                        parts.push(mark);
                        made.read.push(Read {
                            credential: number,
                            at: member.at(),
                            mark,
                        });
                    }
                    Err(error) => missing = missing.or(Some(error)),
                }
            }
            if parts.is_empty() {
                return Err(missing.unwrap_or_else(SecretRef::names_nothing));
            }
            key.credential(&parts);
        }
        made.key = key.end();
        Ok(made)
    }

    /// Returns whether a fetch read exactly the values that this key depends on. A token that was
    /// fetched with other values belongs under another key.
    #[must_use]
    pub fn is_of(&self, id: &ProviderId, secrets: &[SecretUse]) -> bool {
        if self.identity.is_none() {
            return true;
        }
        let is_known = |number: usize, member: &Member<'_>, used: &SecretUse| {
            let known = |read: &Read| {
                (read.credential, read.at) == (number, member.at())
                    && Some(read.mark) == used.store_mark()
            };
            !member.is_free_to_read() || self.read.iter().any(known)
        };
        secrets.iter().all(|used| {
            id.credentials().iter().enumerate().all(|(number, it)| {
                it.reference
                    .members()
                    .filter(|member| member.is(used.secret(), used.candidate()))
                    .all(|member| is_known(number, &member, used))
            })
        })
    }

    /// Returns what other processes need to know whether they would be refused as well: a digest of
    /// what was sent of each credential, or nothing for a credential that was not sent. `None` if that
    /// is not certain.
    #[must_use]
    pub fn refused(&self, id: &ProviderId, secrets: &[SecretUse]) -> Option<Vec<Option<String>>> {
        let identity = self.identity.as_ref()?;
        let is_named = |used: &SecretUse| {
            let mut credentials = id.credentials().iter();
            credentials.any(|it| it.reference == *used.secret())
                || used
                    .secret()
                    .as_inline()
                    .is_some_and(|text| text.expose_secret() == id.client())
        };
        if !secrets.iter().all(is_named) {
            return None;
        }
        let mut all = Vec::new();
        for (number, credential) in id.credentials().iter().enumerate() {
            let mut marks = Vec::new();
            for member in credential.reference.members() {
                let sent = secrets
                    .iter()
                    .filter(|used| member.is(used.secret(), used.candidate()));
                let mut sent: Vec<_> = sent.map(SecretUse::store_mark).collect();
                sent.dedup();
                match sent[..] {
                    [] => marks.push(None),
                    [Some(mark)] => marks.push(Some(mark)),
                    _ => return None,
                }
            }
            let was_sent = marks.iter().any(Option::is_some);
            all.push(was_sent.then(|| digest(identity, number, &marks)));
        }
        Some(all)
    }

    /// Returns whether this process would send what was refused elsewhere. It reads the secrets, and
    /// runs commands for that.
    pub async fn would_be_refused(
        &self,
        id: &ProviderId,
        refused: &[Option<String>],
        clock: &dyn Clock,
    ) -> bool {
        let Some(identity) = &self.identity else {
            return false;
        };
        let own = id.credentials();
        if own.len() != refused.len() || !(own.is_empty() || refused.iter().any(Option::is_some)) {
            return false;
        }
        for (number, (credential, refused)) in own.iter().zip(refused).enumerate() {
            let Some(refused) = refused else { continue };
            let mut marks = Vec::new();
            for member in credential.reference.members() {
                marks.push(mark(identity, &member, clock).await.ok());
            }
            if digest(identity, number, &marks) != *refused {
                return false;
            }
        }
        true
    }
}

async fn mark(
    identity: &IdentityKey,
    member: &Member<'_>,
    clock: &dyn Clock,
) -> Result<Mark, Error> {
    use secrecy::ExposeSecret as _;
    let value = member.read(clock).await?;
    Ok(identity.digest(value.expose_secret()))
}

fn place(identity: &IdentityKey, member: &Member<'_>) -> Mark {
    let mut hash = identity.hash(b"biped place");
    member.hash_place(&mut hash);
    hash.end()
}

/// A digest of marks, in hexadecimal digits.
fn digest(identity: &IdentityKey, number: usize, marks: &[Option<Mark>]) -> String {
    let mut hash = identity.hash(b"biped refused");
    hash.count(number);
    hash.count(marks.len());
    for mark in marks {
        hash.bytes(mark.as_ref().map_or(&[], |mark| &mark[..]));
    }
    TokenKey::from_bytes(hash.end()).to_string()
}
