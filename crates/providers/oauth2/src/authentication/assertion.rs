//! [`Assertion`]: the JWT that proves the client's identity (RFC 7523 §2.2, §3), whatever signs it.

use std::time::Duration;

use biped_config::{Field, FieldType};
use biped_core::{Error, FetchContext, SecretString};
use serde_json::{Value, json};

use super::{
    context::{MethodConfig, ProofContext},
    options::ProofOptions,
};
use biped_sources::{Algorithm, AnyKey, fresh_id, hmac_jws};

/// How long a client assertion is valid: one minute. Each attempt has an assertion of its own.
pub const ASSERTION_LIFETIME: Duration = Duration::from_secs(60);

/// How far the issue time of assertions is back-dated, for servers that check it and whose clocks are
/// behind: one minute.
pub const ASSERTION_BACKDATING: Duration = Duration::from_secs(60);

/// How far the issue time of DPoP proofs is back-dated: five seconds, since many servers accept them for a
/// few seconds only.
pub const CLOCK_SKEW: Duration = Duration::from_secs(5);

/// The field that the assertion itself is in (RFC 7521 §4.2).
pub(super) const CLIENT_ASSERTION: &str = "client_assertion";

pub(super) const CLIENT_ASSERTION_TYPE: &str = "client_assertion_type";

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The keys that every method with assertions takes.
pub(super) const ALG: Field = Field::new("alg", FieldType::Choice(Algorithm::NAMES))
    .about("The algorithm that signs assertions; default: one that fits the key.");
pub(super) const KID: Field = Field::new("kid", FieldType::Text)
    .about("The name of the key in assertions; it also selects a key of a JSON Web Key Set.");
pub(super) const AUDIENCE: Field = Field::new("assertion_audience", FieldType::Text).about(
    "The audience of assertions: issuer, token_endpoint, endpoint (the one that the request goes \
     to) or any other text; default: the issuer, else the token endpoint.",
);

pub(super) const TYP: Field = Field::new("assertion_typ", FieldType::Text).about(
    "The typ in the header of assertions; default: client-authentication+jwt, or JWT if certificate is \
     set with key.",
);

/// Reads [`ALG`], [`KID`], [`AUDIENCE`] and [`TYP`].
pub(super) fn read_options(given: &MethodConfig<'_>, options: &mut ProofOptions) {
    options.alg = given.parsed("alg");
    options.kid = given.config.string("kid");
    options.assertion_audience = given.config.string("assertion_audience");
    options.assertion_typ = given.config.string("assertion_typ");
}

/// An assertion that is still to be signed.
pub(super) struct Assertion {
    signer: Signer,
    alg: Algorithm,
    audience: String,
    kid: Option<String>,
    typ: String,
    /// The header's members that name the key's certificate.
    certificate: Vec<(&'static str, Value)>,
}

pub(super) enum Signer {
    Secret(SecretString),
    Key(Box<AnyKey>),
}

impl Assertion {
    /// The assertion that `signer` is to sign, made as the options and the server's metadata say.
    pub(super) fn new(signer: Signer, cx: &ProofContext<'_>) -> Result<Self, Error> {
        let listed = cx
            .metadata
            .and_then(|known| known.assertion_algorithms.as_deref());
        let (fitting, own_kid) = match &signer {
            Signer::Secret(_) => (Algorithm::OF_SECRETS.to_vec(), None),
            Signer::Key(key) => (key.algorithms(), key.kid()),
        };
        let alg = Algorithm::choose(&fitting, cx.options.alg, listed)?;
        let kid = cx.options.kid.as_deref().or(own_kid).map(Into::into);
        Ok(Self {
            signer,
            alg,
            audience: audience(cx),
            kid,
            typ: typ(cx.options).to_owned(),
            certificate: Vec::new(),
        })
    }

    /// Names the key's certificate by these members of the header.
    pub(super) fn with_certificate(mut self, members: Vec<(&'static str, Value)>) -> Self {
        self.certificate = members;
        self
    }

    pub(super) fn alg(&self) -> Algorithm {
        self.alg
    }

    /// Signs, and returns the fields of the request.
    pub(super) async fn fields(
        &self,
        client_id: &str,
        cx: &FetchContext<'_>,
    ) -> Result<Vec<(&'static str, String)>, Error> {
        let now = cx.now();
        let mut header = json!({ "typ": self.typ });
        if let Some(kid) = &self.kid {
            header["kid"] = kid.as_str().into();
        }
        for (name, value) in &self.certificate {
            header[*name] = value.clone();
        }
        let claims = json!({
            "iss": client_id,
            "sub": client_id,
            "aud": self.audience,
            "jti": fresh_id()?,
            "iat": now.before(ASSERTION_BACKDATING).unix_seconds(),
            "exp": now.after(ASSERTION_LIFETIME).unix_seconds(),
        });
        let signed = match &self.signer {
            Signer::Secret(secret) => hmac_jws(secret, self.alg, header, &claims)?,
            Signer::Key(key) => key.jws(self.alg, header, &claims, cx).await?,
        };
        Ok(vec![
            (CLIENT_ASSERTION_TYPE, ASSERTION_TYPE.into()),
            (CLIENT_ASSERTION, signed),
        ])
    }
}

/// Returns the `aud` of assertions.
pub(super) fn audience(cx: &ProofContext<'_>) -> String {
    let options = cx.options;
    options.audience(cx.issuer, cx.token_endpoint, cx.endpoint)
}

/// Returns the `typ` of assertions: what RFC 7523bis says, except with a certificate, since Entra ID
/// documents `JWT`.
fn typ(options: &ProofOptions) -> &str {
    let default = match options.assertion_certificate {
        Some(_) => "JWT",
        None => "client-authentication+jwt",
    };
    options.assertion_typ.as_deref().unwrap_or(default)
}
