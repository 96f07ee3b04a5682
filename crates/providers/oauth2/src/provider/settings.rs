//! What an [`OAuth2`] is made of.

use std::sync::Arc;

use biped_core::{IdentityRef, ParamValue, ProviderId, SecretRef};
use url::Url;

use super::{KIND, OAuth2};
use crate::{Algorithm, BasicEncoding, CertificateHeader, ClientAuthentication};

impl OAuth2 {
    /// The client with this identifier at a server that says itself where everything is.
    ///
    /// The issuer must be spelt exactly as the server spells it, to the last slash.
    #[must_use]
    pub fn discovered(issuer: impl Into<String>, client_id: SecretRef) -> Self {
        Self::new(Some(issuer.into()), None, client_id)
    }

    /// The client with this identifier at a server whose token endpoint is known.
    #[must_use]
    pub fn at(token_endpoint: Url, client_id: SecretRef) -> Self {
        Self::new(None, Some(token_endpoint), client_id)
    }

    fn new(issuer: Option<String>, token_endpoint: Option<Url>, client_id: SecretRef) -> Self {
        Self {
            id: ProviderId::new(KIND, "", client_id.identity()),
            issuer,
            token_endpoint,
            introspection_endpoint: None,
            revocation_endpoint: None,
            client_id,
            client_secret: None,
            key: None,
            key_password: None,
            alg: None,
            kid: None,
            assertion_certificate: None,
            assertion_audience: None,
            authentication: None,
            basic_encoding: BasicEncoding::default(),
            certificate: None,
            dpop: false,
            dpop_key: None,
            parameters: Vec::new(),
            memory: Arc::default(),
        }
        .named(KIND)
    }

    /// Gives it the name that stands in errors, logs and metrics. Default: `oauth2`.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.id = self.id.named(name);
        self.identified()
    }

    /// Tells the token endpoint, which goes before the discovered one.
    #[must_use]
    pub fn token_endpoint(mut self, url: Url) -> Self {
        self.token_endpoint = Some(url);
        self.identified()
    }

    /// Tells the issuer, whose metadata says what isn't told by hand.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self.identified()
    }

    /// Tells the introspection endpoint (RFC 7662). Default: the discovered one.
    #[must_use]
    pub fn introspection_endpoint(mut self, url: Url) -> Self {
        self.introspection_endpoint = Some(url);
        self
    }

    /// Tells the revocation endpoint (RFC 7009). Default: the discovered one.
    #[must_use]
    pub fn revocation_endpoint(mut self, url: Url) -> Self {
        self.revocation_endpoint = Some(url);
        self
    }

    /// Sets the client secret.
    #[must_use]
    pub fn client_secret(mut self, secret: SecretRef) -> Self {
        self.client_secret = Some(secret);
        self.identified()
    }

    /// Sets the private key that signs assertions: PEM (PKCS#8, PKCS#1, SEC1) or a JSON Web Key.
    #[must_use]
    pub fn key(mut self, key: SecretRef) -> Self {
        self.key = Some(key);
        self.identified()
    }

    /// Sets the password that the key is encrypted with (PKCS#8 with PBES2).
    #[must_use]
    pub fn key_password(mut self, password: SecretRef) -> Self {
        self.key_password = Some(password);
        self.identified()
    }

    /// Names the key's certificate (PEM, its chain after it) in the header of assertions, for servers
    /// that know the client by it, such as Entra ID.
    #[must_use]
    pub fn assertion_certificate(
        mut self,
        certificate: SecretRef,
        headers: impl IntoIterator<Item = CertificateHeader>,
    ) -> Self {
        self.assertion_certificate = Some((certificate, headers.into_iter().collect()));
        self.identified()
    }

    /// Sets what assertions are signed with. Default: what fits the key and the server lists.
    #[must_use]
    pub fn alg(mut self, alg: Algorithm) -> Self {
        self.alg = Some(alg);
        self.identified()
    }

    /// Sets the name of the key in assertions, and which one of a JSON Web Key Set is meant. Default:
    /// the JSON Web Key's own.
    #[must_use]
    pub fn kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = Some(kid.into());
        self.identified()
    }

    /// Sets the `aud` of assertions: `issuer`, `token_endpoint`, `endpoint` (whichever is asked, for
    /// servers that want it so), or a text of the server's own. Default: the issuer, else the token
    /// endpoint.
    #[must_use]
    pub fn assertion_audience(mut self, audience: impl Into<String>) -> Self {
        self.assertion_audience = Some(audience.into());
        self.identified()
    }

    /// Sets how the client proves who it is. Default: what the credentials are for and the server
    /// lists; `client_secret_basic` for a secret where nothing is listed.
    #[must_use]
    pub fn client_authentication(mut self, method: ClientAuthentication) -> Self {
        self.authentication = Some(method);
        self.identified()
    }

    /// Sets how identifier and secret are written into a Basic header.
    #[must_use]
    pub fn basic_encoding(mut self, encoding: BasicEncoding) -> Self {
        self.basic_encoding = encoding;
        self.identified()
    }

    /// Presents a client certificate (PEM), to the server and to the API (RFC 8705).
    #[must_use]
    pub fn certificate(mut self, certificate: SecretRef, key: SecretRef) -> Self {
        self.certificate = Some(IdentityRef { certificate, key });
        self.identified()
    }

    /// Binds tokens to a key that this process makes for itself (RFC 9449). Such tokens never leave
    /// the process.
    #[must_use]
    pub fn dpop(mut self) -> Self {
        self.dpop = true;
        self.identified()
    }

    /// Binds tokens to this key (RFC 9449): PEM or a JSON Web Key.
    #[must_use]
    pub fn dpop_key(mut self, key: SecretRef) -> Self {
        self.dpop_key = Some(key);
        self.dpop()
    }

    /// Adds a field to every token request that doesn't name it itself.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<ParamValue>) -> Self {
        let name = name.into();
        self.parameters.retain(|(known, _)| *known != name);
        self.parameters.push((name, value.into()));
        self.identified()
    }

    /// Whatever makes the server hand out other tokens, or none, is in the id.
    fn identified(mut self) -> Self {
        let place = match (&self.token_endpoint, &self.issuer) {
            (Some(endpoint), _) => endpoint.as_str(),
            (None, issuer) => issuer.as_deref().unwrap_or_default(),
        };
        let mut id = ProviderId::new(KIND, place, self.id.client())
            .named(self.id.name())
            .identifier(&self.client_id);
        for (name, credential) in self.credentials_by_name() {
            // Which one it is: most are optional.
            id = id.with("credential", name).credential(credential);
        }
        if self.dpop {
            id = id.with("dpop", "");
        }
        // With another way to prove who asks, what the server refused may be granted.
        let settings = [
            (
                "client_authentication",
                self.authentication.map(|it| it.to_string()),
            ),
            ("alg", self.alg.map(|it| it.to_string())),
            ("kid", self.kid.clone()),
            ("assertion_audience", self.assertion_audience.clone()),
        ];
        for (name, value) in settings {
            if let Some(value) = value {
                id = id.with(name, value);
            }
        }
        if self.basic_encoding != BasicEncoding::default() {
            id = id.with("basic_encoding", format!("{:?}", self.basic_encoding));
        }
        if let Some((_, headers)) = &self.assertion_certificate {
            id = id.with("assertion_certificate", format!("{headers:?}"));
        }
        if !self.parameters.is_empty() {
            let mut all: Vec<_> = self
                .parameters
                .iter()
                .map(|(name, value)| (name, value.to_json()))
                .collect();
            all.sort_by_key(|(name, _)| *name);
            // An id is shown, and what a parameter holds is not ours to show.
            id = id.with_redacted("parameters", serde_json::json!(all).to_string());
        }
        self.id = id;
        self
    }

    /// What the tokens rest on.
    fn credentials_by_name(&self) -> impl Iterator<Item = (&'static str, &SecretRef)> {
        let (certificate, certificate_key) = match &self.certificate {
            Some(IdentityRef { certificate, key }) => (Some(certificate), Some(key)),
            None => (None, None),
        };
        let assertion_certificate = self.assertion_certificate.as_ref();
        [
            ("client_secret", self.client_secret.as_ref()),
            ("key", self.key.as_ref()),
            ("key_password", self.key_password.as_ref()),
            (
                "assertion_certificate",
                assertion_certificate.map(|(certificate, _)| certificate),
            ),
            ("certificate", certificate),
            ("certificate_key", certificate_key),
            ("dpop_key", self.dpop_key.as_ref()),
        ]
        .into_iter()
        .filter_map(|(name, credential)| Some((name, credential?)))
    }
}
