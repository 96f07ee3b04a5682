//! [`CertificateHeader`]: names the certificate of the key that signed (RFC 7515 §4.1.6 to §4.1.8).

use std::{fmt, str::FromStr};

use aws_lc_rs::digest;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use biped_core::{Error, ExposeSecret, SecretString, pem_blocks};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::Value;

use biped_sources::{AnyKey, key_of_certificate};

/// How an assertion's header names the certificate of the key that signed it, for servers that
/// identify a client by its certificate, such as Entra ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CertificateHeader {
    /// `x5t#S256`: the certificate's thumbprint with SHA-256.
    X5tS256,
    /// `x5t`: its thumbprint with SHA-1, for servers that support no other.
    X5t,
    /// `x5c`: the certificate itself and its chain.
    X5c,
}

impl CertificateHeader {
    pub(crate) const NAMES: &[&str] = &["x5t#S256", "x5t", "x5c"];

    /// Returns the name in the header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X5tS256 => "x5t#S256",
            Self::X5t => "x5t",
            Self::X5c => "x5c",
        }
    }
}

impl fmt::Display for CertificateHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CertificateHeader {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        [Self::X5tS256, Self::X5t, Self::X5c]
            .into_iter()
            .find(|known| known.as_str() == name)
            .ok_or_else(|| {
                Error::configuration(format!(
                    "unknown certificate header; expected one of {}",
                    Self::NAMES.join(", ")
                ))
            })
    }
}

/// Returns the members of an assertion's header that name the certificate of `key`.
///
/// `pem` contains the certificate, followed by its chain if there is one.
pub(crate) fn members(
    pem: &SecretString,
    key: &AnyKey,
    headers: &[CertificateHeader],
) -> Result<Vec<(&'static str, Value)>, Error> {
    let pem = pem_blocks(pem.expose_secret().as_bytes());
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .unwrap_or_default();
    let own = chain.first().ok_or_else(|| {
        Error::secret("certificate: this is not a certificate in PEM").with_remedy(
            "set certificate to the certificate of key; to convert DER: openssl x509 -inform der",
        )
    })?;
    if key_of_certificate(own) != Some(key.public_der()) {
        return Err(
            Error::secret("certificate: this certificate belongs to another key")
                .with_remedy("set certificate to the certificate of key, before its chain"),
        );
    }
    let thumbprint = |hash| digest_of(hash, own).into();
    let member = |header: &CertificateHeader| {
        let value = match header {
            CertificateHeader::X5tS256 => thumbprint(&digest::SHA256),
            CertificateHeader::X5t => thumbprint(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            CertificateHeader::X5c => chain.iter().map(|one| STANDARD.encode(one)).collect(),
        };
        (header.as_str(), value)
    };
    Ok(headers.iter().map(member).collect())
}

/// Returns the thumbprint of the first certificate in PEM, as `x5t#S256` has it (RFC 8705 §3.1).
pub(crate) fn thumbprint(pem: &SecretString) -> Option<String> {
    let pem = pem_blocks(pem.expose_secret().as_bytes());
    let own = CertificateDer::pem_slice_iter(&pem).next()?.ok()?;
    Some(digest_of(&digest::SHA256, &own))
}

fn digest_of(hash: &'static digest::Algorithm, certificate: &CertificateDer<'_>) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(hash, certificate))
}
