//! The settings of an [`OAuth2`].

use std::{collections::BTreeMap, sync::Arc};

use biped_core::{IdentityRef, ParamValue, PlainHttp, ProviderId, RejectionRule, SecretRef};
use http::HeaderName;
use url::Url;

use super::{KIND, OAuth2};
use crate::{
    authentication::{BasicEncoding, ClientAuthentication, ProofOptions},
    certificate::CertificateHeader,
    grant::{Exchange, Grant, Rotating},
    headers::ExtraHeaders,
    resource::Api,
};
use biped_sources::{Algorithm, ExternalToken};

impl OAuth2 {
    /// Creates the client with this identifier at a server whose metadata names the endpoints.
    ///
    /// The issuer must be spelt exactly as the server spells it, including a final slash.
    #[must_use]
    pub fn discovered(issuer: impl Into<String>, client_id: SecretRef) -> Self {
        Self::new(Some(issuer.into()), None, Some(client_id))
    }

    /// Creates the client with this identifier at a server with this token endpoint.
    #[must_use]
    pub fn at(token_endpoint: Url, client_id: SecretRef) -> Self {
        Self::new(None, Some(token_endpoint), Some(client_id))
    }

    pub(crate) fn new(
        issuer: Option<String>,
        token_endpoint: Option<Url>,
        client_id: Option<SecretRef>,
    ) -> Self {
        let client = client_id.as_ref().map(SecretRef::identity);
        Self {
            id: ProviderId::new(KIND, "", client.unwrap_or_default()),
            issuer,
            api: None,
            token_endpoint,
            introspection_endpoint: None,
            revocation_endpoint: None,
            client_id,
            grant: Grant::default(),
            account: None,
            inputs: Vec::new(),
            authentication: None,
            offered: Vec::new(),
            options: ProofOptions::default(),
            certificate: None,
            plain_http: None,
            dpop: false,
            dpop_key: None,
            parameters: Vec::new(),
            headers: ExtraHeaders::default(),
            api_headers: ExtraHeaders::default(),
            attach_secrets: Vec::new(),
            rejection_rules: None,
            memory: Arc::default(),
        }
        .named(KIND)
    }

    /// The token endpoint, if it is configured.
    pub(crate) fn fixed_token_endpoint(&self) -> Option<&Url> {
        self.token_endpoint.as_ref()
    }

    /// Sets the name in errors, logs and metrics. Default: `oauth2`.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.id = self.id.named(name);
        self.identified()
    }

    /// Sets the token endpoint. Default: the discovered one.
    #[must_use]
    pub fn token_endpoint(mut self, url: Url) -> Self {
        self.token_endpoint = Some(url);
        self.identified()
    }

    /// Sets the issuer. Its metadata provides what is not set.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self.identified()
    }

    /// Sets the API that tokens are for, by its URL. Its metadata (RFC 9728) names what is not configured:
    /// the resource that tokens are requested for (RFC 8707), and the scopes. It must trust the issuer.
    ///
    /// ```
    /// use biped_core::SecretRef;
    /// use biped_oauth2::OAuth2;
    ///
    /// let provider = OAuth2::discovered("https://login.crm.example", SecretRef::inline("client-7"))
    ///     .client_secret(SecretRef::env("CRM"))
    ///     .api("https://api.crm.example/v2");
    /// # let _ = provider;
    /// ```
    #[must_use]
    pub fn api(mut self, api: impl Into<String>) -> Self {
        self.api = Some(Api::new(api.into()));
        self.identified()
    }

    /// Creates the client with this identifier at the server that the API's metadata names first. This is
    /// for a [`key`](Self::key) and a [`certificate`](Self::certificate), whose proofs only
    /// their receiver can use; with other credentials, a fetch fails.
    #[must_use]
    pub fn discovered_by_api(api: impl Into<String>, client_id: SecretRef) -> Self {
        Self::new(None, None, Some(client_id)).api(api)
    }

    /// Sets where the API's metadata is, at the API's origin. Default: it is searched for (RFC 9728 §3, §5).
    /// It is of use after [`api`](Self::api).
    #[must_use]
    pub fn resource_metadata(mut self, url: Url) -> Self {
        self.api = self.api.map(|api| api.with_metadata(url.into()));
        // The id does not tell where the API's word is from.
        self.memory = Arc::default();
        self.identified()
    }

    /// Requests tokens without naming the API (RFC 8707), for servers that take no `resource`, such as
    /// Entra ID. It is of use after [`api`](Self::api).
    #[must_use]
    pub fn without_resource(mut self) -> Self {
        if let Some(api) = &mut self.api {
            api.sends_resource = false;
        }
        self.identified()
    }

    pub(crate) fn with_api(mut self, api: Option<Api>) -> Self {
        self.api = api;
        self.identified()
    }

    /// Sets the introspection endpoint (RFC 7662). Default: the discovered one.
    #[must_use]
    pub fn introspection_endpoint(mut self, url: Url) -> Self {
        self.introspection_endpoint = Some(url);
        self
    }

    /// Sets the revocation endpoint (RFC 7009). Default: the discovered one.
    #[must_use]
    pub fn revocation_endpoint(mut self, url: Url) -> Self {
        self.revocation_endpoint = Some(url);
        self
    }

    /// Sets the servers that are asked without TLS, because a service mesh encrypts what is sent there.
    /// Default: none.
    #[must_use]
    pub fn with_plain_http(mut self, servers: PlainHttp) -> Self {
        self.plain_http = Some(servers);
        self.identified()
    }

    /// Sets the client secret, for `client_secret_basic`, `client_secret_post` or
    /// `client_secret_jwt`: the first of them that the server lists.
    #[must_use]
    pub fn client_secret(self, secret: SecretRef) -> Self {
        self.offering(ClientAuthentication::client_secret_basic(secret.clone()))
            .offering(ClientAuthentication::client_secret_post(secret.clone()))
            .offering(ClientAuthentication::client_secret_jwt(secret))
    }

    /// Sets the private key of `private_key_jwt`: PEM (PKCS#8, PKCS#1, SEC1) or a JSON Web Key.
    #[must_use]
    pub fn key(self, key: SecretRef) -> Self {
        self.offering(ClientAuthentication::private_key_jwt(key))
    }

    /// Sets who signs the assertions of `private_key_jwt`, for a private key that is not in this process.
    #[must_use]
    pub fn signer(self, signer: impl biped_sources::Signer) -> Self {
        self.offering(ClientAuthentication::signer(signer))
    }

    /// Sends no client identifier, for servers that know the client by its assertion.
    #[must_use]
    pub fn without_client_id(mut self) -> Self {
        self.client_id = None;
        self.id = ProviderId::new(KIND, "", "").named(self.id.name());
        self.identified()
    }

    /// Sets the assertion of another party that says who the client is (RFC 7521 §4.2). It is used
    /// whatever methods the server lists.
    ///
    /// ```
    /// use biped_core::SecretRef;
    /// use biped_oauth2::{ExternalToken, OAuth2};
    ///
    /// let projected = SecretRef::file("/var/run/secrets/tokens/crm");
    /// let provider = OAuth2::discovered("https://login.example", SecretRef::inline("client-7"))
    ///     .client_assertion(ExternalToken::from(projected));
    /// # let _ = provider;
    /// ```
    #[must_use]
    pub fn client_assertion(self, assertion: ExternalToken) -> Self {
        self.offering(ClientAuthentication::client_assertion(assertion))
    }

    /// Requests tokens with this assertion (RFC 7523 §2.1).
    #[must_use]
    pub fn jwt_bearer(self, assertion: ExternalToken) -> Self {
        self.with_grant(Grant::JwtBearer(assertion))
    }

    /// Exchanges this token (RFC 8693). Its type is `access_token` if it is another provider's, and
    /// `jwt` otherwise.
    #[must_use]
    pub fn token_exchange(self, subject: ExternalToken) -> Self {
        let kind = subject.token_type();
        let subject_type = format!("urn:ietf:params:oauth:token-type:{kind}");
        self.with_grant(Grant::TokenExchange(Box::new(Exchange {
            subject,
            subject_type,
            actor: None,
            requested_type: None,
        })))
    }

    /// Requests tokens with a user's password (RFC 6749 §4.3), for servers that have no other grant.
    /// RFC 9700 §2.4 forbids it.
    #[must_use]
    pub fn password(self, username: SecretRef, password: SecretRef) -> Self {
        self.with_grant(Grant::Password { username, password })
    }

    /// Requests tokens with this refresh token, which the server does not replace (RFC 6749 §6). It is
    /// read at each fetch, like a secret.
    #[must_use]
    pub fn fixed_refresh_token(self, refresh_token: SecretRef) -> Self {
        self.with_grant(Grant::FixedRefreshToken(refresh_token))
    }

    /// Requests tokens with a refresh token that the server replaces at each use (RFC 6749 §6). It is
    /// kept in the durable part of a sealed store, as the one of `account`; default: the provider's
    /// name. `seed` is where the first one is.
    ///
    /// ```
    /// use biped_core::{Provider as _, SecretRef};
    /// use biped_oauth2::OAuth2;
    ///
    /// let provider = OAuth2::discovered("https://login.example", SecretRef::inline("client-7"))
    ///     .client_secret(SecretRef::env("CRM_SECRET"))
    ///     .rotating_refresh_token(None, Some(SecretRef::env("CRM_SEED")))
    ///     .named("crm");
    /// assert!(provider.account().is_some());
    /// ```
    #[must_use]
    pub fn rotating_refresh_token(self, account: Option<String>, seed: Option<SecretRef>) -> Self {
        self.with_grant(Grant::RefreshToken(Rotating { seed, account }))
    }

    pub(crate) fn with_grant(mut self, grant: Grant) -> Self {
        self.grant = grant;
        self.identified()
    }

    /// Sets the password that the key is encrypted with (PKCS#8 with PBES2).
    #[must_use]
    pub fn key_password(mut self, password: SecretRef) -> Self {
        self.options.key_password = Some(password);
        self.identified()
    }

    /// Names the key's certificate in the header of assertions, for servers that identify the client
    /// by it, such as Entra ID. The certificate is PEM, followed by its chain.
    #[must_use]
    pub fn assertion_certificate(
        mut self,
        certificate: SecretRef,
        headers: impl IntoIterator<Item = CertificateHeader>,
    ) -> Self {
        self.options.assertion_certificate = Some((certificate, headers.into_iter().collect()));
        self.identified()
    }

    /// Sets the algorithm that signs assertions. Default: the first that fits the key and that the
    /// server lists.
    #[must_use]
    pub fn alg(mut self, alg: Algorithm) -> Self {
        self.options.alg = Some(alg);
        self.identified()
    }

    /// Sets the name of the key in assertions, which also selects a key of a JSON Web Key Set. Default:
    /// the JSON Web Key's own name.
    #[must_use]
    pub fn kid(mut self, kid: impl Into<String>) -> Self {
        self.options.kid = Some(kid.into());
        self.identified()
    }

    /// Sets the `typ` in the header of assertions. Default: `client-authentication+jwt`, or `JWT` if the
    /// header names a certificate.
    #[must_use]
    pub fn assertion_typ(mut self, typ: impl Into<String>) -> Self {
        self.options.assertion_typ = Some(typ.into());
        self.identified()
    }

    /// Sets the audience (`aud`) of assertions: `issuer`, `token_endpoint`, `endpoint` (the one that
    /// the request goes to), or any other text. Default: the issuer, else the token endpoint.
    #[must_use]
    pub fn assertion_audience(mut self, audience: impl Into<String>) -> Self {
        self.options.assertion_audience = Some(audience.into());
        self.identified()
    }

    /// Sets the client authentication method, with its credentials. Default: the first that there are
    /// credentials for ([`key`](Self::key), [`client_secret`](Self::client_secret),
    /// [`certificate`](Self::certificate)) and that the server lists, if it lists any.
    #[must_use]
    pub fn client_authentication(mut self, method: ClientAuthentication) -> Self {
        self = self.presenting(&method);
        self.authentication = Some(method);
        self.identified()
    }

    /// Adds a method that is used if none is chosen.
    pub(crate) fn offering(mut self, method: ClientAuthentication) -> Self {
        self = self.presenting(&method);
        self.offered.retain(|other| other.name() != method.name());
        self.offered.push(method);
        self.identified()
    }

    /// Presents the certificate that the method is about, if it is about one.
    fn presenting(mut self, method: &ClientAuthentication) -> Self {
        let Some(identity) = method.client_identity() else {
            return self;
        };
        self.certificate = Some(identity.clone());
        self
    }

    /// Sets how proofs are made.
    pub(crate) fn with_options(mut self, options: ProofOptions) -> Self {
        self.options = options;
        self.identified()
    }

    /// Sets how identifier and secret are encoded in a Basic header.
    #[must_use]
    pub fn basic_encoding(mut self, encoding: BasicEncoding) -> Self {
        self.options.basic_encoding = encoding;
        self.identified()
    }

    /// Presents a client certificate (PEM) to the server and to the API (RFC 8705), whichever
    /// method is used. It is also the credentials of `tls_client_auth` and
    /// `self_signed_tls_client_auth`.
    #[must_use]
    pub fn certificate(self, certificate: SecretRef, key: SecretRef) -> Self {
        let (again, key_again) = (certificate.clone(), key.clone());
        self.offering(ClientAuthentication::tls_client_auth(again, key_again))
            .offering(ClientAuthentication::self_signed_tls_client_auth(
                certificate,
                key,
            ))
    }

    /// Binds tokens to a key that this process generates (RFC 9449). Such tokens never leave the
    /// process.
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

    /// Adds a field to every token request that does not set it itself.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<ParamValue>) -> Self {
        let name = name.into();
        self.parameters.retain(|(known, _)| *known != name);
        self.parameters.push((name, value.into()));
        self.identified()
    }

    /// Adds a header to every request to the server, except those for its metadata: the key of a
    /// gateway, for instance. [`fetch`](biped_core::Provider::fetch) fails for a header that the provider
    /// sets itself.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: SecretRef) -> Self {
        self.headers.set(name, value);
        self.identified()
    }

    /// Adds a header to every API call, beside the token. A call fails for a header that the provider or
    /// the HTTP client sets itself.
    #[must_use]
    pub fn api_header(mut self, name: HeaderName, value: SecretRef) -> Self {
        self.api_headers.set(name, value);
        self.identified()
    }

    /// Sets which API responses reject the token, instead of those of the standard
    /// ([`judge_by_status`](biped_core::judge_by_status)): a 401 is among them only if a rule says so.
    #[must_use]
    pub fn rejection_rules(mut self, rules: Vec<RejectionRule>) -> Self {
        self.rejection_rules = Some(rules);
        self
    }

    /// Puts everything that makes the server issue other tokens into the id. A copy that differs in it
    /// learns for itself: what another API, issuer or server said is not about its tokens.
    fn identified(mut self) -> Self {
        if let Some(api) = &mut self.api {
            api.plain_http.clone_from(&self.plain_http);
        }
        self.attach_secrets = self.dpop_key.iter().cloned().collect();
        let api_headers = self.api_headers.iter().map(|(_, value)| value.clone());
        self.attach_secrets.extend(api_headers);
        let id = self.grant.identify(self.identified_by_proof());
        self.account = self.grant.account(KIND, &id, self.client_id.as_ref());
        let own = self
            .methods()
            .iter()
            .filter_map(ClientAuthentication::token);
        let own = own.map(|(token, _)| token);
        let tokens = own.chain(self.grant.tokens().into_iter().map(|(_, token)| token));
        self.inputs = tokens.filter_map(ExternalToken::input).cloned().collect();
        let id = self.identified_by_settings(id);
        if id != self.id {
            self.memory = Arc::default();
        }
        self.id = id;
        self
    }

    /// Returns the id of a client at this server with these credentials.
    fn identified_by_proof(&self) -> ProviderId {
        let api = self.api.as_ref().map(Api::text);
        let place = match (&self.token_endpoint, &self.issuer) {
            (Some(endpoint), _) => endpoint.as_str(),
            (None, issuer) => issuer.as_deref().or(api).unwrap_or_default(),
        };
        let mut id = ProviderId::new(KIND, place, self.id.client()).named(self.id.name());
        if let Some(client_id) = &self.client_id {
            id = id.identifier(client_id);
        }
        for (name, credential) in self.credentials_by_name() {
            // Which one it is: most are optional.
            id = id.with("credential", name).credential(credential);
        }
        let elsewhere = self
            .methods()
            .iter()
            .filter_map(ClientAuthentication::key_elsewhere);
        for key in elsewhere {
            id = key.identify(id, "signer");
        }
        for (place, headers) in [("header", &self.headers), ("api_header", &self.api_headers)] {
            for (name, value) in headers.iter() {
                id = id.with(place, name).credential(value);
            }
        }
        for (token, kind) in self
            .methods()
            .iter()
            .filter_map(ClientAuthentication::token)
        {
            id = token.identify(id, "client_assertion");
            id = id.with("client_assertion_type", kind);
        }
        id
    }

    /// Adds what else makes the server issue other tokens.
    fn identified_by_settings(&self, mut id: ProviderId) -> ProviderId {
        if let Some(api) = &self.api {
            id = id.with("api", api.text());
            if !api.sends_resource {
                id = id.with("resource", "false");
            }
        }
        if self.dpop {
            id = id.with("dpop", "");
        }
        // With another way to prove who asks, what the server refused may be granted.
        let options = &self.options;
        let settings = [
            (
                "client_authentication",
                self.authentication.as_ref().map(|it| it.name().to_owned()),
            ),
            ("alg", options.alg.map(|it| it.to_string())),
            ("kid", options.kid.clone()),
            ("assertion_audience", options.assertion_audience.clone()),
            ("assertion_typ", options.assertion_typ.clone()),
        ];
        for (name, value) in settings {
            if let Some(value) = value {
                id = id.with(name, value);
            }
        }
        if options.basic_encoding != BasicEncoding::default() {
            id = id.with("basic_encoding", format!("{:?}", options.basic_encoding));
        }
        if let Some((_, headers)) = &options.assertion_certificate {
            id = id.with("assertion_certificate", format!("{headers:?}"));
        }
        if !self.parameters.is_empty() {
            // Only a hash: an id may be shown, but a parameter may be confidential.
            let mut all: Vec<_> = self
                .parameters
                .iter()
                .map(|(name, value)| (name, value.to_json()))
                .collect();
            all.sort_by_key(|(name, _)| *name);
            // An id is shown, and what a parameter holds is not ours to show.
            id = id.with_redacted("parameters", serde_json::json!(all).to_string());
        }
        id
    }

    /// The methods that may be used.
    pub(super) fn methods(&self) -> &[ClientAuthentication] {
        match &self.authentication {
            Some(chosen) => std::slice::from_ref(chosen),
            None => &self.offered,
        }
    }

    /// What the tokens rest on, each by the key that it is configured with.
    fn credentials_by_name(&self) -> BTreeMap<&'static str, &SecretRef> {
        let mut all: BTreeMap<_, _> = self
            .methods()
            .iter()
            .flat_map(ClientAuthentication::credentials)
            .collect();
        if let Some(IdentityRef { certificate, key }) = &self.certificate {
            all.extend([("certificate", certificate), ("certificate_key", key)]);
        }
        let options = &self.options;
        let named = options.assertion_certificate.as_ref();
        all.extend(named.map(|(certificate, _)| ("assertion_certificate", certificate)));
        let password = options.key_password.as_ref();
        all.extend(password.map(|password| ("key_password", password)));
        all.extend(self.dpop_key.as_ref().map(|key| ("dpop_key", key)));
        all
    }
}
