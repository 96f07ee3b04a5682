//! [`Algorithm`]: what signatures are made with.

use std::{fmt, str::FromStr};

use biped_core::Error;

/// A signature algorithm for JSON Web Signatures (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // their names are the standard's
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
    /// Their names, as the configuration has them.
    pub(crate) const NAMES: &[&str] = &[
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
        "ES384", "ES512", "EdDSA", "Ed25519",
    ];

    /// For a client secret, the default first.
    pub(crate) const OF_SECRETS: [Self; 3] = [Self::HS256, Self::HS384, Self::HS512];

    /// The `alg` of a signature's header.
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

    /// The length of what its hash makes, in bytes.
    pub(crate) fn digest_length(self) -> usize {
        match self {
            Self::HS256 | Self::RS256 | Self::PS256 | Self::ES256 => 32,
            Self::HS384 | Self::RS384 | Self::PS384 | Self::ES384 => 48,
            Self::HS512 | Self::RS512 | Self::PS512 | Self::ES512 | Self::EdDSA | Self::Ed25519 => {
                64
            }
        }
    }

    /// The one to use of those that fit a key: the one asked for, else the first that the server
    /// lists, else the first.
    pub(crate) fn choose(
        fitting: &[Self],
        asked: Option<Self>,
        listed: Option<&[String]>,
    ) -> Result<Self, Error> {
        if let Some(asked) = asked {
            return if fitting.contains(&asked) {
                Ok(asked)
            } else {
                let names: Vec<_> = fitting.iter().map(|fit| fit.as_str()).collect();
                Err(
                    Error::configuration(format!("alg = \"{asked}\" doesn't fit the key"))
                        .with_remedy(format!("what fits it is {}", names.join(", "))),
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
        .ok_or_else(|| Error::configuration("this signature algorithm is not known"))
    }
}
