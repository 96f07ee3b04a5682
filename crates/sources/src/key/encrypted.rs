//! Keys that are encrypted with a password: PKCS#8 with PBES2 (RFC 8018 §6.2), which OpenSSL and other
//! tools have written by default for many years.

use std::num::NonZeroU32;

use aws_lc_rs::{
    cipher::{
        AES_128, AES_192, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey,
        UnboundCipherKey,
    },
    pbkdf2,
};
use biped_core::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::fault::Fault;
use crate::der::{self, INTEGER, OCTETS, OID, SEQUENCE};

const LOCKED: Fault = Fault(
    "this key is encrypted",
    "set key_password (it decrypts key only), or decrypt the file: openssl pkey -in key.pem -out \
     plain.pem",
);
pub(super) const FOREIGN: Fault = Fault(
    "this key is encrypted in a way that is not supported",
    "convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in key.pem -out new.pem",
);
const WRONG: Fault = Fault("this key can't be decrypted", "check key_password");

/// The most rounds that are accepted. More are unusual, and would keep a thread busy for minutes.
const MOST_ROUNDS: u32 = 10_000_000;

const PBES2: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d";
const PBKDF2: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c";
const HMAC_SHA1: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x02\x07";
const HMAC_SHA256: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x02\x09";
const HMAC_SHA384: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x02\x0a";
const HMAC_SHA512: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x02\x0b";
const AES_128_CBC: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x01\x02";
const AES_192_CBC: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x01\x16";
const AES_256_CBC: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x01\x2a";

/// Decrypts the PKCS#8 within an `EncryptedPrivateKeyInfo` (RFC 5958 §3).
pub(super) fn open(
    der: &[u8],
    password: Option<&SecretString>,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let scheme = Scheme::read(der).ok_or(FOREIGN)?;
    let password = password.ok_or(LOCKED)?;
    scheme.decrypt(password).ok_or(WRONG)
}

struct Scheme<'a> {
    derivation: pbkdf2::Algorithm,
    rounds: NonZeroU32,
    salt: &'a [u8],
    cipher: &'static Algorithm,
    /// The length of the cipher's key, in bytes.
    length: usize,
    iv: &'a [u8],
    data: &'a [u8],
}

impl<'a> Scheme<'a> {
    fn read(der: &'a [u8]) -> Option<Self> {
        let (outer, _) = der::expect(SEQUENCE, der)?;
        let (algorithm, rest) = der::expect(SEQUENCE, outer)?;
        let (data, _) = der::expect(OCTETS, rest)?;
        let (PBES2, rest) = der::expect(OID, algorithm)? else {
            return None;
        };
        let (parameters, _) = der::expect(SEQUENCE, rest)?;
        let (derivation, rest) = der::expect(SEQUENCE, parameters)?;
        let (encryption, _) = der::expect(SEQUENCE, rest)?;

        let (name, rest) = der::expect(OID, encryption)?;
        let (iv, _) = der::expect(OCTETS, rest)?;
        let (cipher, length) = match name {
            AES_128_CBC => (&AES_128, 16),
            AES_192_CBC => (&AES_192, 24),
            AES_256_CBC => (&AES_256, 32),
            _ => return None,
        };

        let (PBKDF2, rest) = der::expect(OID, derivation)? else {
            return None;
        };
        let (parameters, _) = der::expect(SEQUENCE, rest)?;
        let (salt, rest) = der::expect(OCTETS, parameters)?;
        let (rounds, rest) = der::expect(INTEGER, rest)?;
        // The key's length may be repeated here.
        let rest = der::expect(INTEGER, rest).map_or(rest, |(_, rest)| rest);
        let derivation = match der::expect(SEQUENCE, rest) {
            None => pbkdf2::PBKDF2_HMAC_SHA1,
            Some((hash, _)) => match der::expect(OID, hash)?.0 {
                HMAC_SHA1 => pbkdf2::PBKDF2_HMAC_SHA1,
                HMAC_SHA256 => pbkdf2::PBKDF2_HMAC_SHA256,
                HMAC_SHA384 => pbkdf2::PBKDF2_HMAC_SHA384,
                HMAC_SHA512 => pbkdf2::PBKDF2_HMAC_SHA512,
                _ => return None,
            },
        };
        Some(Self {
            derivation,
            rounds: der::number(rounds)
                .filter(|rounds| *rounds <= MOST_ROUNDS)
                .and_then(NonZeroU32::new)?,
            salt,
            cipher,
            length,
            iv,
            data,
        })
    }

    fn decrypt(&self, password: &SecretString) -> Option<Zeroizing<Vec<u8>>> {
        let mut key = Zeroizing::new(vec![0; self.length]);
        let password = password.expose_secret().as_bytes();
        pbkdf2::derive(self.derivation, self.rounds, self.salt, password, &mut key);
        let key = UnboundCipherKey::new(self.cipher, &key).ok()?;
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
        let iv = DecryptionContext::Iv128(self.iv.try_into().ok()?);
        let mut data = Zeroizing::new(self.data.to_vec());
        let opened = key.decrypt(&mut data, iv).ok()?.to_vec();
        let opened = Zeroizing::new(opened);
        // With a wrong password, the padding may look right, but the content is not PKCS#8.
        der::expect(SEQUENCE, &opened)
            .is_some_and(|(_, rest)| rest.is_empty())
            .then_some(opened)
    }
}
