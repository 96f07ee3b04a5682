//! [`ClientAuthentication`]: how the client proves to the server who it is.

use std::{fmt, str::FromStr, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use biped_core::{Error, ExposeSecret, SecretString, Timestamp, wire::percent_encoded};
use http::HeaderValue;
use serde_json::{Value, json};

use crate::key::{self, Algorithm, SigningKey};

/// How long a client assertion is good for. It is made anew for each attempt.
pub const ASSERTION_LIFETIME: Duration = Duration::from_secs(60);

/// How far before now a signature says it was made, for servers whose clocks are behind.
pub const CLOCK_SKEW: Duration = Duration::from_secs(5);

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The field that the assertion itself is in (RFC 7521 §4.2).
pub(crate) const CLIENT_ASSERTION: &str = "client_assertion";

/// A client authentication method, by its IANA name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientAuthentication {
    /// Identifier and secret in the `Authorization` header (RFC 6749 §2.3.1).
    ClientSecretBasic,
    /// Identifier and secret in the body (RFC 6749 §2.3.1).
    ClientSecretPost,
    /// A JWT signed with the secret (RFC 7523 §2.2).
    ClientSecretJwt,
    /// A JWT signed with a private key (RFC 7523 §2.2).
    PrivateKeyJwt,
    /// A client certificate that the server's CA issued (RFC 8705 §2.1).
    TlsClientAuth,
    /// A client certificate that the server knows (RFC 8705 §2.2).
    SelfSignedTlsClientAuth,
    /// The identifier alone (RFC 6749 §2.1, public clients).
    None,
}

impl ClientAuthentication {
    pub(crate) const NAMES: &[&str] = &[
        "client_secret_basic",
        "client_secret_post",
        "client_secret_jwt",
        "private_key_jwt",
        "tls_client_auth",
        "self_signed_tls_client_auth",
        "none",
    ];

    /// The IANA name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::ClientSecretJwt => "client_secret_jwt",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::TlsClientAuth => "tls_client_auth",
            Self::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
            Self::None => "none",
        }
    }

    /// Whether it needs the client secret.
    #[must_use]
    pub fn needs_secret(self) -> bool {
        matches!(
            self,
            Self::ClientSecretBasic | Self::ClientSecretPost | Self::ClientSecretJwt
        )
    }

    /// Whether it needs a client certificate.
    #[must_use]
    pub fn needs_certificate(self) -> bool {
        matches!(self, Self::TlsClientAuth | Self::SelfSignedTlsClientAuth)
    }

    /// The method to use where the configuration names none: the first that there is something for,
    /// and that the server lists, if it lists any.
    pub(crate) fn choose(
        has_secret: bool,
        has_key: bool,
        has_certificate: bool,
        listed: Option<&[String]>,
    ) -> Result<Self, Error> {
        let mut candidates = Vec::new();
        if has_key {
            candidates.push(Self::PrivateKeyJwt);
        }
        if has_secret {
            candidates.extend([
                Self::ClientSecretBasic,
                Self::ClientSecretPost,
                Self::ClientSecretJwt,
            ]);
        }
        if has_certificate {
            candidates.extend([Self::TlsClientAuth, Self::SelfSignedTlsClientAuth]);
        }
        if candidates.is_empty() {
            candidates.push(Self::None);
        }
        let listed = listed.filter(|all| !all.is_empty());
        let is_listed =
            |method: &Self| listed.is_none_or(|all| all.iter().any(|name| name == method.as_str()));
        if let Some(method) = candidates.iter().copied().find(is_listed) {
            return Ok(method);
        }
        let names =
            |methods: &mut dyn Iterator<Item = &str>| methods.collect::<Vec<_>>().join(", ");
        let ours = names(&mut candidates.iter().map(|method| method.as_str()));
        let known = |name: &&&str| listed.is_some_and(|all| all.iter().any(|one| one == **name));
        let theirs = match names(&mut Self::NAMES.iter().filter(known).copied()) {
            none if none.is_empty() => "none that is known here".to_owned(),
            some => some,
        };
        Err(Error::configuration(format!(
            "the server's metadata lists no client authentication method that the configured \
             credentials are for ({ours}); it lists {theirs}"
        ))
        .with_remedy(
            "give what one of those needs, or set client_authentication if the list is wrong",
        ))
    }
}

impl fmt::Display for ClientAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ClientAuthentication {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        [
            Self::ClientSecretBasic,
            Self::ClientSecretPost,
            Self::ClientSecretJwt,
            Self::PrivateKeyJwt,
            Self::TlsClientAuth,
            Self::SelfSignedTlsClientAuth,
            Self::None,
        ]
        .into_iter()
        .find(|known| known.as_str() == name)
        .ok_or_else(|| Error::configuration("this client authentication method is not known"))
    }
}

/// How identifier and secret are written into a Basic header.
///
/// RFC 6749 §2.3.1 says: as in a form. Servers differ; the default is what most of them take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BasicEncoding {
    /// Percent-encoded; `-._~`, letters and digits are left alone, a space is `%20`.
    #[default]
    Percent,
    /// As in a form: a space is `+`, and `~` is escaped.
    Form,
    /// As they are. The identifier can't have a colon then.
    Raw,
}

impl BasicEncoding {
    pub(crate) const NAMES: &[&str] = &["percent", "form", "raw"];
}

impl FromStr for BasicEncoding {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "percent" => Ok(Self::Percent),
            "form" => Ok(Self::Form),
            "raw" => Ok(Self::Raw),
            _ => Err(Error::configuration("this encoding is not known")),
        }
    }
}

/// What one fetch read of the client's credentials.
pub(crate) struct Credentials {
    pub(crate) client_id: String,
    pub(crate) proof: Proof,
}

/// The method, with what it needs.
pub(crate) enum Proof {
    Basic(SecretString, BasicEncoding),
    Post(SecretString),
    SecretJwt(SecretString, AssertionSettings),
    KeyJwt(Box<SigningKey>, AssertionSettings),
    /// It is in the connection already.
    Certificate,
    Identifier,
}

/// What goes into an assertion beside the client.
#[derive(Clone, Debug)]
pub(crate) struct AssertionSettings {
    pub(crate) audience: String,
    pub(crate) alg: Algorithm,
    pub(crate) kid: Option<String>,
    /// What names the key's certificate in the header.
    pub(crate) certificate: Vec<(&'static str, Value)>,
}

impl Credentials {
    /// The `Authorization` header that stands in place of the form-encoded one.
    pub(crate) fn header(&self) -> Result<Option<HeaderValue>, Error> {
        let Proof::Basic(secret, encoding) = &self.proof else {
            return Ok(None);
        };
        let (id, secret) = (self.client_id.as_str(), secret.expose_secret());
        let pair = match encoding {
            // That is how the oauth2 crate writes it.
            BasicEncoding::Form => return Ok(None),
            BasicEncoding::Percent => {
                format!("{}:{}", percent_encoded(id), percent_encoded(secret))
            }
            BasicEncoding::Raw if id.contains(':') => {
                return Err(Error::configuration(
                    "a client_id with a colon can't stand in a Basic header as it is",
                )
                .with_remedy("set basic_encoding = \"percent\", or use client_secret_post"));
            }
            BasicEncoding::Raw => format!("{id}:{secret}"),
        };
        let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
            .map_err(|_| Error::internal("base64 can't stand in a header"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// What to look at where the server doesn't believe them.
    pub(crate) fn advice(&self) -> String {
        match &self.proof {
            Proof::Basic(secret, encoding) => {
                let plain = |text: &str| percent_encoded(text) == text;
                let method = "check client_id, client_secret and client_authentication";
                if plain(&self.client_id) && plain(secret.expose_secret()) {
                    return method.into();
                }
                let other = match encoding {
                    BasicEncoding::Raw => "percent",
                    _ => "raw",
                };
                format!(
                    "{method}; they have characters that servers read differently: try \
                     basic_encoding = \"{other}\" or client_secret_post"
                )
            }
            Proof::Post(_) => "check client_id, client_secret and client_authentication".into(),
            Proof::SecretJwt(secret, AssertionSettings { alg, .. }) => {
                let wanted = alg.digest_length();
                if secret.expose_secret().len() < wanted {
                    return format!(
                        "{alg} wants a client_secret of {wanted} bytes at least (RFC 7518 §3.2), \
                         which this one is short of"
                    );
                }
                "check client_id, client_secret, alg and assertion_audience".into()
            }
            Proof::KeyJwt(..) => {
                "check client_id, that the server knows the public key of key (by \
                                  its kid, if it has several), alg and assertion_audience"
                    .into()
            }
            Proof::Certificate => {
                "check client_id, and that the server knows the certificate".into()
            }
            Proof::Identifier => {
                "check client_id, and whether the server wants a client_secret or a key".into()
            }
        }
    }

    /// The fields that prove who asks, made for one attempt.
    pub(crate) fn assertion(&self, now: Timestamp) -> Result<Vec<(&'static str, String)>, Error> {
        let (settings, sign): (_, &dyn Fn(_, &_) -> _) = match &self.proof {
            Proof::SecretJwt(secret, settings) => (settings, &|header, claims: &_| {
                key::hmac_jws(secret, settings.alg, header, claims)
            }),
            Proof::KeyJwt(key, settings) => (settings, &|header, claims: &_| {
                key.jws(settings.alg, header, claims)
            }),
            _ => return Ok(Vec::new()),
        };
        let mut header = json!({ "typ": "JWT" });
        if let Some(kid) = &settings.kid {
            header["kid"] = kid.as_str().into();
        }
        for (name, value) in &settings.certificate {
            header[*name] = value.clone();
        }
        let client = self.client_id.as_str();
        let claims = json!({
            "iss": client,
            "sub": client,
            "aud": settings.audience,
            "jti": key::fresh_id()?,
            "iat": now.before(CLOCK_SKEW).unix_seconds(),
            "exp": now.after(ASSERTION_LIFETIME).unix_seconds(),
        });
        Ok(vec![
            ("client_assertion_type", ASSERTION_TYPE.into()),
            (CLIENT_ASSERTION, sign(header, &claims)?),
        ])
    }
}
