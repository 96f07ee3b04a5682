//! [`Algorithm`]: a signature algorithm, and the choice of one.

use std::{fmt, str::FromStr};

use biped_core::Error;

/// A signature algorithm for JSON Web Signatures (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // the names are the standard's
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
    Ed25519,
}

impl Algorithm {
    /// The names, as the configuration spells them.
    pub const NAMES: &[&str] = &[
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
        "ES384", "ES512", "EdDSA", "Ed25519",
    ];

    /// The algorithms for a client secret, the default first.
    pub const OF_SECRETS: [Self; 3] = [Self::HS256, Self::HS384, Self::HS512];

    /// Returns the `alg` of a signature's header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// Returns the length of its digest, in bytes.
    #[must_use]
    pub fn digest_length(self) -> usize {
        match self {
            Self::HS256 | Self::RS256 | Self::PS256 | Self::ES256 => 32,
            Self::HS384 | Self::RS384 | Self::PS384 | Self::ES384 => 48,
            Self::HS512 | Self::RS512 | Self::PS512 | Self::ES512 | Self::EdDSA | Self::Ed25519 => {
                64
            }
        }
    }

    /// Returns the algorithm to use out of those that fit a key: the `configured` one, else the first
    /// that the server lists, else the first.
    ///
    /// # Errors
    /// [`Configuration`](biped_core::ErrorKind::Configuration) if the configured one does not fit.
    pub fn choose(
        fitting: &[Self],
        configured: Option<Self>,
        listed: Option<&[String]>,
    ) -> Result<Self, Error> {
        if let Some(alg) = configured {
            return if fitting.contains(&alg) {
                Ok(alg)
            } else {
                let names: Vec<_> = fitting.iter().map(|fit| fit.as_str()).collect();
                Err(
                    Error::configuration(format!("alg = \"{alg}\" does not fit the key"))
                        .with_remedy(format!("set alg to one of {}", names.join(", "))),
                )
            };
        }
        let is_listed =
            |fit: &&Self| listed.is_some_and(|all| all.iter().any(|name| name == fit.as_str()));
        fitting
            .iter()
            .find(is_listed)
            .or(fitting.first())
            .copied()
            .ok_or_else(|| Error::internal("no algorithm fits the key"))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        use Algorithm::*;
        [
            HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512,
            EdDSA, Ed25519,
        ]
        .into_iter()
        .find(|known| known.as_str() == name)
        .ok_or_else(|| {
            Error::configuration(format!(
                "unknown signature algorithm; expected one of {}",
                Self::NAMES.join(", ")
            ))
        })
    }
}
