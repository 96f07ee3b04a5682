//! [`OAuth2`]: the provider itself.

mod settings;

use std::{fmt, sync::Arc};

use biped_core::{
    ApiRequest, ApiResponse, AttachContext, Error, ExposeSecret, FetchContext, IdentityRef,
    Inspection, ParamValue, Provider, ProviderId, SecretRef, Token, TokenRequest, Verdict,
    async_trait, judge_by_status,
};
use http::{StatusCode, header};
use url::Url;

use crate::{
    Algorithm, BasicEncoding, CertificateHeader, ClientAuthentication, answer,
    asked::Asked,
    authentication::{AssertionSettings, Credentials, Proof},
    certificate,
    dpop::{self, Nonces, ProofKeys, Side, USE_NONCE},
    exchange::{self, About, Binding},
    introspection,
    key::{Place, SigningKey},
    metadata::{Cache, Metadata, may_have_moved},
};

/// One client at one authorization server.
///
/// ```
/// use biped_core::{Provider as _, SecretRef};
/// use biped_oauth2::OAuth2;
///
/// let provider = OAuth2::discovered("https://login.example", SecretRef::inline("client-7"))
///     .key(SecretRef::file("/run/secrets/crm.pem"))
///     .named("crm");
/// assert_eq!(provider.id().name(), "crm");
/// assert_eq!(provider.id().token_endpoint(), "https://login.example");
/// ```
#[derive(Clone)]
pub struct OAuth2 {
    id: ProviderId,
    issuer: Option<String>,
    token_endpoint: Option<Url>,
    introspection_endpoint: Option<Url>,
    revocation_endpoint: Option<Url>,
    client_id: SecretRef,
    client_secret: Option<SecretRef>,
    key: Option<SecretRef>,
    key_password: Option<SecretRef>,
    alg: Option<Algorithm>,
    kid: Option<String>,
    assertion_certificate: Option<(SecretRef, Vec<CertificateHeader>)>,
    assertion_audience: Option<String>,
    authentication: Option<ClientAuthentication>,
    basic_encoding: BasicEncoding,
    certificate: Option<IdentityRef>,
    dpop: bool,
    dpop_key: Option<SecretRef>,
    parameters: Vec<(String, ParamValue)>,
    memory: Arc<Memory>,
}

/// What a provider learns from answers.
#[derive(Debug, Default)]
struct Memory {
    metadata: Cache,
    keys: ProofKeys,
    nonces: Nonces,
}

#[async_trait]
impl Provider for OAuth2 {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let asked = Asked::of(request, &self.parameters)?;
        if let Some(endpoint) = &self.token_endpoint {
            return self.ask(&asked, endpoint, None, cx).await;
        }
        let (known, is_old) = self.metadata(cx).await?;
        let answer = self
            .ask(&asked, &known.token_endpoint, Some(&known), cx)
            .await;
        let Err(error) = &answer else {
            return answer;
        };
        if !may_have_moved(error) {
            return answer;
        }
        self.memory.metadata.expire();
        if !is_old || error.vendor().is_none() {
            return answer;
        }
        // It is gone from where the server said it was a while ago.
        match self.metadata(cx).await {
            Ok((new, _)) if new.token_endpoint != known.token_endpoint => {
                self.ask(&asked, &new.token_endpoint, Some(&new), cx).await
            }
            _ => answer,
        }
    }

    fn attach(
        &self,
        token: &Token,
        request: &mut ApiRequest<'_>,
        cx: &AttachContext<'_>,
    ) -> Result<(), Error> {
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, token.header().clone());
        let Some(thumbprint) = token.confirmation() else {
            return Ok(());
        };
        let key = self.proof_key(thumbprint, cx)?;
        let url = request.url().into_owned();
        let nonce = self.memory.nonces.find(Side::Api, &url);
        let metadata = self.memory.metadata.last_seen();
        let proof = dpop::proof(
            &key,
            metadata
                .as_ref()
                .and_then(|known| known.proof_algorithms.as_deref()),
            request.method(),
            &url,
            Some(token.expose_secret()),
            nonce.as_deref(),
            cx.now(),
        )?;
        request.headers_mut().insert(dpop::PROOF, proof);
        Ok(())
    }

    fn attach_secrets(&self) -> &[SecretRef] {
        self.dpop_key.as_slice()
    }

    fn judge(&self, response: &ApiResponse<'_>) -> Verdict {
        if !self.dpop {
            return judge_by_status(response);
        }
        let nonces = &self.memory.nonces;
        let learned = nonces.learn(Side::Api, response.url(), response.headers());
        if response.status() != StatusCode::UNAUTHORIZED {
            return Verdict::Accepted;
        }
        let said = answer::challenges(response.headers(), "error");
        let says = |code: &str| said.iter().any(|error| error == code);
        if says(USE_NONCE) && learned {
            Verdict::Resend
        } else if says("invalid_dpop_proof") {
            // Another token would fare no better.
            Verdict::Accepted
        } else {
            judge_by_status(response)
        }
    }

    fn adopts(&self, token: &Token, _: &TokenRequest) -> bool {
        match token.confirmation() {
            Some(thumbprint) => self.memory.keys.find(thumbprint).is_some(),
            None => !self.dpop && token.token_type().eq_ignore_ascii_case("bearer"),
        }
    }

    fn client_identity(&self) -> Option<&IdentityRef> {
        self.certificate.as_ref()
    }

    fn signs_url(&self) -> bool {
        self.dpop
    }

    /// Asks for a token and has the server describe it: introspection is of tokens, not of clients.
    async fn inspect(
        &self,
        request: &TokenRequest,
        cx: &FetchContext<'_>,
    ) -> Result<Option<Inspection>, Error> {
        let metadata = self.known_metadata(cx).await?;
        let discovered = metadata
            .as_ref()
            .and_then(|known| known.introspection_endpoint.as_ref());
        let Some(endpoint) = self.introspection_endpoint.as_ref().or(discovered) else {
            return Ok(None);
        };
        let token = self.fetch(request, cx).await?;
        let credentials = self.credentials(metadata.as_deref(), endpoint, cx).await?;
        let about = About::Introspection;
        let response = exchange::about_token(about, &token, endpoint, &credentials, cx).await?;
        introspection::read(&response, &token).map(Some)
    }

    async fn revoke(&self, token: &Token, cx: &FetchContext<'_>) -> Result<(), Error> {
        let metadata = match &self.revocation_endpoint {
            Some(_) if self.issuer.is_none() => None,
            _ => self.known_metadata(cx).await?,
        };
        let discovered = metadata
            .as_ref()
            .and_then(|known| known.revocation_endpoint.as_ref());
        let endpoint = self
            .revocation_endpoint
            .as_ref()
            .or(discovered)
            .ok_or_else(|| {
                Error::configuration("this server has no revocation endpoint that is known")
                    .with_remedy("set revocation_endpoint, or an issuer whose metadata names one")
            })?;
        let credentials = self.credentials(metadata.as_deref(), endpoint, cx).await?;
        exchange::about_token(About::Revocation, token, endpoint, &credentials, cx).await?;
        Ok(())
    }
}

impl OAuth2 {
    async fn ask(
        &self,
        asked: &Asked,
        endpoint: &Url,
        metadata: Option<&Metadata>,
        cx: &FetchContext<'_>,
    ) -> Result<Token, Error> {
        let credentials = self.credentials(metadata, endpoint, cx).await?;
        let key = match (self.dpop, &self.dpop_key) {
            (false, _) => None,
            (true, None) => Some(ProofKeys::of_process()?),
            (true, Some(key)) => Some(self.memory.keys.given(&cx.secret(key).await?)?),
        };
        let binding = key.as_ref().map(|key| Binding {
            key,
            nonces: &self.memory.nonces,
            algorithms: metadata.and_then(|known| known.proof_algorithms.as_deref()),
        });
        exchange::token(asked, endpoint, &credentials, binding, cx).await
    }

    /// What the server says of itself, and whether it said so a while ago.
    async fn metadata(&self, cx: &FetchContext<'_>) -> Result<(Arc<Metadata>, bool), Error> {
        let issuer = self.issuer.as_deref().ok_or_else(|| {
            Error::configuration("there is neither a token endpoint nor an issuer")
                .with_remedy("set token_endpoint or issuer")
        })?;
        let mutual_tls = self.certificate.is_some();
        self.memory.metadata.get(issuer, mutual_tls, cx).await
    }

    /// The metadata, where there is an issuer.
    async fn known_metadata(&self, cx: &FetchContext<'_>) -> Result<Option<Arc<Metadata>>, Error> {
        match self.issuer {
            None => Ok(None),
            Some(_) => self.metadata(cx).await.map(|(known, _)| Some(known)),
        }
    }

    /// Reads what proves who asks.
    async fn credentials(
        &self,
        metadata: Option<&Metadata>,
        endpoint: &Url,
        cx: &FetchContext<'_>,
    ) -> Result<Credentials, Error> {
        let method = match self.authentication {
            Some(method) => method,
            None => ClientAuthentication::choose(
                self.client_secret.is_some(),
                self.key.is_some(),
                self.certificate.is_some(),
                metadata.and_then(|known| known.authentication_methods.as_deref()),
            )?,
        };
        let client_id = cx.identifier(&self.client_id).await?;
        let secret = async || match &self.client_secret {
            Some(secret) => cx.secret(secret).await,
            None => Err(needs(method, "client_secret")),
        };
        let settings = |fitting: &[Algorithm], kid: Option<&str>| {
            let listed = metadata.and_then(|known| known.assertion_algorithms.as_deref());
            Ok::<_, Error>(AssertionSettings {
                audience: self.audience(endpoint, metadata),
                alg: Algorithm::choose(fitting, self.alg, listed)?,
                kid: self.kid.as_deref().or(kid).map(Into::into),
                certificate: Vec::new(),
            })
        };
        let proof = match method {
            ClientAuthentication::ClientSecretBasic => {
                Proof::Basic(secret().await?, self.basic_encoding)
            }
            ClientAuthentication::ClientSecretPost => Proof::Post(secret().await?),
            ClientAuthentication::ClientSecretJwt => {
                Proof::SecretJwt(secret().await?, settings(&Algorithm::OF_SECRETS, None)?)
            }
            ClientAuthentication::PrivateKeyJwt => {
                let key = self.signing_key(cx).await?;
                let mut settings = settings(&key.algorithms(), key.kid())?;
                if let Some((place, headers)) = &self.assertion_certificate {
                    let pem = cx.secret(place).await?;
                    settings.certificate = certificate::members(&pem, &key, headers)?;
                }
                Proof::KeyJwt(Box::new(key), settings)
            }
            ClientAuthentication::TlsClientAuth | ClientAuthentication::SelfSignedTlsClientAuth => {
                if self.certificate.is_none() {
                    return Err(needs(method, "certificate and certificate_key"));
                }
                Proof::Certificate
            }
            ClientAuthentication::None => Proof::Identifier,
        };
        Ok(Credentials { client_id, proof })
    }

    /// The key that signs assertions.
    async fn signing_key(&self, cx: &FetchContext<'_>) -> Result<SigningKey, Error> {
        let method = ClientAuthentication::PrivateKeyJwt;
        let key = self.key.as_ref().ok_or_else(|| needs(method, "key"))?;
        let key = cx.secret(key).await?;
        let password = match &self.key_password {
            Some(password) => Some(cx.secret(password).await?),
            None => None,
        };
        let place = Place {
            name: "key",
            password: password.as_ref(),
            kid: self.kid.as_deref(),
        };
        SigningKey::read(&key, place)
    }

    /// What assertions are made out to. The issuer is the same for all endpoints of a server, and
    /// no other server can take what is made out to it.
    fn audience(&self, endpoint: &Url, metadata: Option<&Metadata>) -> String {
        let token_endpoint = || {
            let discovered = metadata.map(|known| &known.token_endpoint);
            let known = self.token_endpoint.as_ref().or(discovered);
            known.unwrap_or(endpoint).to_string()
        };
        let issuer = || self.issuer.clone().unwrap_or_else(token_endpoint);
        match self.assertion_audience.as_deref() {
            None | Some("issuer") => issuer(),
            Some("token_endpoint") => token_endpoint(),
            Some("endpoint") => endpoint.to_string(),
            Some(said) => said.to_owned(),
        }
    }

    /// The key that a token is bound to.
    fn proof_key(
        &self,
        thumbprint: &str,
        cx: &AttachContext<'_>,
    ) -> Result<Arc<SigningKey>, Error> {
        if let Some(key) = self.memory.keys.find(thumbprint) {
            return Ok(key);
        }
        if let Some(key) = &self.dpop_key {
            let key = self.memory.keys.given(cx.secret(key)?)?;
            if key.thumbprint() == thumbprint {
                return Ok(key);
            }
        }
        Err(Error::internal(
            "the key that the token is bound to is gone",
        ))
    }
}

fn needs(method: ClientAuthentication, what: &str) -> Error {
    Error::configuration(format!("{method} needs {what}"))
}

pub(crate) const KIND: &str = "oauth2";

impl fmt::Debug for OAuth2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<_> = self.parameters.iter().map(|(name, _)| name).collect();
        f.debug_struct("OAuth2")
            .field("id", &self.id)
            .field("issuer", &self.issuer)
            .field("client_authentication", &self.authentication)
            .field("dpop", &self.dpop)
            .field("parameters", &known)
            .finish_non_exhaustive()
    }
}
