//! [`SealKey`]: the key that entries are sealed with.

use std::fmt;

use base64::{Engine, alphabet, engine::DecodePaddingMode, engine::GeneralPurposeConfig};
use biped_core::{Error, ExposeSecret, IdentityKey, SecretRef, SecretString, StoreError};
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use hmac::{Hmac, Mac as _};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// The first byte of an entry.
const FORMAT: u8 = 1;
const ID: usize = 8;
const NONCE: usize = 24;
const TAG: usize = 16;

/// A key to seal and open entries with.
#[derive(Clone)]
pub struct SealKey {
    id: [u8; ID],
    cipher: XChaCha20Poly1305,
    /// The identity key of a store that has none of its own.
    identity: IdentityKey,
}

/// Why an entry doesn't open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// It is too short, or its version is unknown.
    NotSealed,
    /// It was sealed with a key that is not configured.
    OtherKey,
    /// It was changed, or belongs to another token.
    Forged,
}

impl SealKey {
    /// The key with these bytes.
    #[must_use]
    pub fn from_bytes(mut bytes: [u8; 32]) -> Self {
        // The id tells keys apart, and says nothing about the key.
        let digest = Sha256::new()
            .chain_update(b"biped seal key")
            .chain_update(bytes)
            .finalize();
        let mut id = [0; ID];
        id.copy_from_slice(&digest[..ID]);
        let mut identity = Hmac::<Sha256>::new(&padded(&bytes).into());
        identity.update(b"biped identity key");
        let identity = IdentityKey::from_bytes(identity.finalize().into_bytes().into());
        let mut key = bytes.into();
        let cipher = XChaCha20Poly1305::new(&key);
        key.zeroize();
        bytes.zeroize();
        Self {
            id,
            cipher,
            identity,
        }
    }

    /// The key of these that seals.
    pub(crate) fn first(keys: &[Self]) -> Result<&Self, StoreError> {
        let key = keys.first();
        key.ok_or_else(|| StoreError::new("there is no seal key"))
    }

    /// Whether this key sealed an entry.
    pub(crate) fn sealed(&self, entry: &[u8]) -> bool {
        Parts::of(entry).is_some_and(|parts| parts.id == self.id)
    }

    pub(crate) fn identity(&self) -> IdentityKey {
        self.identity.clone()
    }

    /// Reads a key from 64 hexadecimal digits or from base64. White space around it is ignored.
    ///
    /// # Errors
    /// [`Secret`](biped_core::ErrorKind::Secret) for anything else.
    pub fn parse(text: &SecretString) -> Result<Self, Error> {
        let text = text.expose_secret().trim();
        let bytes = Zeroizing::new(from_hex(text).or_else(|| from_base64(text)));
        let bytes = bytes.as_ref().and_then(|bytes| bytes[..].try_into().ok());
        bytes.map(Self::from_bytes).ok_or_else(|| {
            Error::secret("expected a seal key of 32 bytes, as 64 hexadecimal digits or in base64")
                .with_remedy("make one with `openssl rand -base64 32`")
        })
    }

    /// Reads a key from its place, once. A program must be restarted to use another key.
    ///
    /// # Errors
    /// [`Secret`](biped_core::ErrorKind::Secret) if the secret can't be read or is not a key.
    pub fn read(secret: &SecretRef) -> Result<Self, Error> {
        Self::parse(&secret.read_now()?)
    }

    pub(crate) fn seal(&self, context: &[u8], bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE];
        let failed = |_| StoreError::new("the system provides no random numbers to seal a token");
        getrandom::fill(&mut nonce).map_err(failed)?;
        let payload = Payload {
            msg: bytes,
            aad: &self.context(context),
        };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| StoreError::new("the token is too large to seal"))?;
        Ok([&[FORMAT], &self.id[..], &nonce, &sealed].concat())
    }

    fn open(&self, context: &[u8], parts: &Parts<'_>) -> Result<Vec<u8>, Closed> {
        let payload = Payload {
            msg: parts.sealed,
            aad: &self.context(context),
        };
        self.cipher
            .decrypt(&XNonce::from(parts.nonce), payload)
            .map_err(|_| Closed::Forged)
    }

    /// What is authenticated in addition to the bytes.
    fn context(&self, context: &[u8]) -> Vec<u8> {
        [b"biped sealed", &[FORMAT][..], &self.id, context].concat()
    }
}

/// The key padded to a block, as in RFC 2104.
fn padded(key: &[u8; 32]) -> [u8; 64] {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    block
}

/// Opens an entry with the key that sealed it.
pub(crate) fn open(keys: &[SealKey], context: &[u8], entry: &[u8]) -> Result<Vec<u8>, Closed> {
    let parts = Parts::of(entry).ok_or(Closed::NotSealed)?;
    let key = keys.iter().find(|key| key.id == parts.id);
    key.ok_or(Closed::OtherKey)?.open(context, &parts)
}

/// The id of the key that sealed an entry, in hexadecimal digits.
pub(crate) fn named(entry: &[u8]) -> Option<String> {
    use fmt::Write as _;
    let mut text = String::new();
    for byte in Parts::of(entry)?.id {
        let _ = write!(text, "{byte:02x}");
    }
    Some(text)
}

/// The parts of an entry after its version.
struct Parts<'a> {
    id: [u8; ID],
    nonce: [u8; NONCE],
    sealed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(entry: &'a [u8]) -> Option<Self> {
        let rest = entry.strip_prefix(&[FORMAT])?;
        let (id, rest) = rest.split_first_chunk()?;
        let (nonce, sealed) = rest.split_first_chunk()?;
        (sealed.len() >= TAG).then_some(Self {
            id: *id,
            nonce: *nonce,
            sealed,
        })
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = (0..32).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16));
    pairs.collect::<Result<_, _>>().ok()
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [&alphabet::STANDARD, &alphabet::URL_SAFE]
        .into_iter()
        .find_map(|alphabet| {
            base64::engine::GeneralPurpose::new(alphabet, config)
                .decode(text)
                .ok()
        })
        .filter(|bytes| bytes.len() == 32)
}

/// Shows the key's id, not the key.
impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(")?;
        self.id
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSealed => "it is truncated, not sealed, or of another version",
            Self::OtherKey => "it was sealed with a key that is not configured",
            Self::Forged => "it was changed, or belongs to another token or generation",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0fF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF";

    #[test]
    fn a_key_is_read_in_hexadecimal_and_in_base64() {
        let mut bytes = [0; 32];
        for (at, byte) in (0..).zip(&mut bytes) {
            *byte = if at < 16 { at } else { 0xe0 + at };
        }
        let expected = SealKey::from_bytes(bytes).id;
        let standard = "AAECAwQFBgcICQoLDA0OD/Dx8vP09fb3+Pn6+/z9/v8=";
        let for_urls = "AAECAwQFBgcICQoLDA0OD_Dx8vP09fb3-Pn6-_z9_v8";
        for text in [
            HEX,
            standard,
            for_urls,
            " \tAAECAwQFBgcICQoLDA0OD/Dx8vP09fb3+Pn6+/z9/v8\n",
        ] {
            let key = SealKey::parse(&text.to_owned().into()).unwrap();
            assert_eq!(key.id, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_shown() {
        let long = "a".repeat(65);
        for text in ["", "hunter2hunter2", &HEX[1..], &HEX[2..], &long, "äöü"] {
            let error = SealKey::parse(&text.to_owned().into()).unwrap_err();
            assert_eq!(error.kind(), biped_core::ErrorKind::Secret);
            assert!(text.is_empty() || !format!("{error}{error:?}").contains(text));
        }
    }

    #[test]
    fn the_same_bytes_are_never_sealed_alike() {
        let key = SealKey::from_bytes([1; 32]);
        let seal = || key.seal(b"context", b"token").unwrap();
        assert_ne!(seal()[1 + ID..], seal()[1 + ID..]);
    }

    #[test]
    fn an_entry_with_any_bit_changed_does_not_open() {
        let key = SealKey::from_bytes([1; 32]);
        let entry = key.seal(b"context", b"token").unwrap();
        assert_eq!(
            open(std::slice::from_ref(&key), b"context", &entry).unwrap(),
            b"token"
        );
        for at in 0..entry.len() * 8 {
            let mut changed = entry.clone();
            changed[at / 8] ^= 1 << (at % 8);
            assert!(open(std::slice::from_ref(&key), b"context", &changed).is_err());
        }
        for length in 0..entry.len() {
            assert!(open(std::slice::from_ref(&key), b"context", &entry[..length]).is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_an_entry(mut entry: Vec<u8>, is_named: bool) {
            let key = SealKey::from_bytes([1; 32]);
            if is_named && entry.len() > ID {
                let sealed = key.seal(b"context", b"token").unwrap();
                entry[..=ID].copy_from_slice(&sealed[..=ID]);
            }
            proptest::prop_assert!(open(&[key], b"context", &entry).is_err());
        }
    }
}
