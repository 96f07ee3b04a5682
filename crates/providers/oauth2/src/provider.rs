//! [`OAuth2`]: the provider.

mod accepted;
mod anew;
mod binding;
mod discovery;
mod proof;
mod settings;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use biped_core::{
    Account, ApiRequest, ApiResponse, AttachContext, Error, ExposeSecret, FetchContext,
    IdentityRef, Input, Inspection, ParamValue, PlainHttp, Proof, Provider, ProviderId,
    RejectionRule, SecretRef, Timestamp, Token, TokenRequest, Verdict, async_trait,
    judge_by_status, wire,
};
use http::{StatusCode, header};
use url::Url;

use self::binding::{Bindings, is_proven};
use crate::{
    answer::{self, NOT_APPLICABLE},
    authentication::{self, ClientAuthentication, ClientProof, ProofContext, ProofOptions},
    dpop::{self, Nonces, ProofKeys, Side, USE_NONCE},
    exchange::{self, About, Binding},
    grant::Grant,
    grant_request::{self, GrantRequest},
    headers::{self, ExtraHeaders},
    introspection,
    metadata::{Cache, Metadata, may_have_moved},
    presented,
    resource::{self, Api},
};
use biped_sources::{Asking, Wanted};

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
    /// The API that tokens are for, which names what is not configured.
    api: Option<Api>,
    token_endpoint: Option<Url>,
    introspection_endpoint: Option<Url>,
    revocation_endpoint: Option<Url>,
    /// Missing if the client says who it is in another way.
    client_id: Option<SecretRef>,
    grant: Grant,
    /// The account whose refresh token changes with each use.
    account: Option<Account>,
    /// The tokens of other providers that fetches need.
    inputs: Vec<Input>,
    /// The chosen method.
    authentication: Option<ClientAuthentication>,
    /// The methods that there are credentials for, if none is chosen.
    offered: Vec<ClientAuthentication>,
    options: ProofOptions,
    certificate: Option<IdentityRef>,
    plain_http: Option<PlainHttp>,
    dpop: bool,
    dpop_key: Option<SecretRef>,
    parameters: Vec<(String, ParamValue)>,
    headers: ExtraHeaders,
    api_headers: ExtraHeaders,
    /// What `attach` reads: the key that tokens are bound to, and the values of headers.
    attach_secrets: Vec<SecretRef>,
    /// What rejects a token; `None`: what the standard says.
    rejection_rules: Option<Vec<RejectionRule>>,
    memory: Arc<Memory>,
}

/// What a provider has learned from responses.
#[derive(Debug, Default)]
struct Memory {
    metadata: Cache,
    resource: resource::Cache,
    keys: ProofKeys,
    nonces: Nonces,
    presented: presented::Memory,
    rotated: AtomicBool,
}

#[async_trait]
impl Provider for OAuth2 {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let mut grant = GrantRequest::of(request, &self.parameters)?;
        let resource = self.resource(cx).await?;
        if let (Some(api), Some(found)) = (&self.api, &resource) {
            let named = Some(found.resource.as_str()).filter(|_| api.sends_resource);
            grant.for_resource(named, &found.scopes);
        }
        let resource = resource.as_deref();
        if let Some(endpoint) = &self.token_endpoint {
            return self.ask(&grant, endpoint, None, cx).await;
        }
        let (known, is_old) = self.metadata(resource, cx).await?;
        let answer = self
            .ask(&grant, &known.token_endpoint, Some(&known), cx)
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
        // The endpoint has moved since the metadata was received.
        match self.metadata(resource, cx).await {
            Ok((new, _)) if new.token_endpoint != known.token_endpoint => {
                self.ask(&grant, &new.token_endpoint, Some(&new), cx).await
            }
            _ => answer,
        }
    }

    fn is_made_anew(&self) -> bool {
        self.keeps_nothing()
    }

    fn attach(
        &self,
        token: &Token,
        request: &mut ApiRequest<'_>,
        cx: &AttachContext<'_>,
    ) -> Result<(), Error> {
        if token.token_type().eq_ignore_ascii_case(NOT_APPLICABLE) {
            return Err(Error::configuration(
                "the token is not an access token, so no API takes it",
            )
            .with_remedy("remove requested_token_type, or set it to access_token"));
        }
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, token.header().clone());
        for (name, value) in self.api_headers.iter() {
            headers::put(request.headers_mut(), name, cx.secret(value)?)?;
        }
        let bound = token.confirmation().filter(|_| is_proven(token));
        let Some(thumbprint) = bound else {
            return Ok(());
        };
        let key = self.bindings().proof_key(thumbprint, cx)?;
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

    fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    fn attach_secrets(&self) -> &[SecretRef] {
        &self.attach_secrets
    }

    fn judge(&self, response: &ApiResponse<'_>) -> Verdict {
        if let Some(api) = &self.api
            && response.status() == StatusCode::UNAUTHORIZED
        {
            self.memory.resource.learn(api, response.headers());
        }
        if self.dpop
            && let Some(verdict) = self.judge_proof(response)
        {
            return verdict;
        }
        match &self.rejection_rules {
            Some(rules) => RejectionRule::judge(rules, response),
            None => judge_by_status(response),
        }
    }

    fn accepts_stored(&self, token: &Token, _: &TokenRequest) -> bool {
        // Whose key it is bound to, `is_given_key` says.
        if self.dpop || is_proven(token) {
            return self.dpop && is_proven(token);
        }
        let token_type = token.token_type();
        answer::is_sent_as_bearer(token_type)
            || (self.grant.requests_type() && token_type.eq_ignore_ascii_case(NOT_APPLICABLE))
    }

    async fn is_given_key(&self, thumbprint: &str, cx: &FetchContext<'_>) -> bool {
        self.bindings().include(thumbprint, cx).await
    }

    fn request_warning(&self, request: &TokenRequest) -> Option<String> {
        grant_request::warning(request, &self.parameters)
    }

    fn client_identity(&self) -> Option<&IdentityRef> {
        self.certificate.as_ref()
    }

    fn signs_url(&self) -> bool {
        self.dpop
    }

    /// Requests a token and introspects it, since introspection is about tokens and not about clients.
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
        let proof = self.prove(metadata.as_deref(), endpoint, cx).await?;
        let about = About::Introspection;
        let response = exchange::about_token(about, &token, endpoint, &proof, cx).await?;
        introspection::read(&response, &token).map(Some)
    }

    fn plain_http(&self) -> Option<&PlainHttp> {
        self.plain_http.as_ref()
    }

    async fn proof(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Proof, Error> {
        self.show_proof(cx).await
    }

    fn proof_method(&self) -> Option<&'static str> {
        self.shown_method()
    }

    fn warning(&self, _: Timestamp) -> Option<String> {
        let text = match self.grant {
            Grant::Password { .. } => {
                "grant = \"password\" is forbidden by RFC 9700 §2.4; use another grant if the server \
                 has one"
            }
            Grant::FixedRefreshToken(_) if self.memory.rotated.load(Ordering::Relaxed) => {
                "the server replaced the refresh token, which may be of no use from now on; set \
                 rotates = true"
            }
            _ => return None,
        };
        Some(text.into())
    }

    async fn revoke(&self, token: &Token, cx: &FetchContext<'_>) -> Result<(), Error> {
        let metadata = match &self.revocation_endpoint {
            Some(_) if self.issuer.is_none() && self.api.is_none() => None,
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
                Error::configuration("the server's revocation endpoint is not known").with_remedy(
                    "set revocation_endpoint, or an issuer whose metadata contains one",
                )
            })?;
        let proof = self.prove(metadata.as_deref(), endpoint, cx).await?;
        exchange::about_token(About::Revocation, token, endpoint, &proof, cx).await?;
        Ok(())
    }
}

impl OAuth2 {
    fn bindings(&self) -> Bindings<'_> {
        Bindings {
            keys: &self.memory.keys,
            given: self.dpop_key.as_ref(),
            certificate: self.certificate.as_ref().filter(|_| !self.dpop),
        }
    }

    async fn ask(
        &self,
        grant: &GrantRequest,
        endpoint: &Url,
        metadata: Option<&Metadata>,
        cx: &FetchContext<'_>,
    ) -> Result<Token, Error> {
        let proof = self.prove(metadata, endpoint, cx).await?;
        let client_id = proof.client_id.clone();
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
        let certificate = match metadata {
            Some(known) if known.binds_to_certificates => self.bindings().own_certificate(cx).await,
            _ => None,
        };
        let token_endpoint = self.token_endpoint_or(metadata, endpoint);
        let audience = self.audience(metadata, token_endpoint, endpoint);
        let scopes: Vec<_> = grant.scopes().collect();
        let scopes = Some(scopes.join(" ")).filter(|scopes| !scopes.is_empty());
        let in_claims = scopes.as_deref().filter(|_| self.grant.takes_scope());
        let asked = exchange::TokenRequest {
            request: grant,
            grant: &self.grant,
            endpoint,
            proof,
            certificate: certificate.as_deref(),
            asking: Asking {
                audience: Some(&audience),
                token_endpoint: Some(token_endpoint),
                client_id: Some(client_id.as_str()).filter(|id| !id.is_empty()),
                wanted: Wanted {
                    scope: in_claims,
                    ..Wanted::default()
                },
                ..Asking::new(cx)
            },
            presented: &self.memory.presented,
            rotated: &self.memory.rotated,
        };
        exchange::token(asked, binding, cx).await
    }

    /// Reads the client's credentials, and makes the proof for requests to `endpoint`.
    async fn prove(
        &self,
        metadata: Option<&Metadata>,
        endpoint: &Url,
        cx: &FetchContext<'_>,
    ) -> Result<ClientProof, Error> {
        let is_anonymous = self.offered.is_empty() && self.grant.may_be_anonymous();
        let method = match &self.authentication {
            Some(method) => method.clone(),
            None if is_anonymous => ClientAuthentication::none(),
            None => authentication::choose(
                &self.offered,
                metadata.and_then(|known| known.authentication_methods.as_deref()),
            )?,
        };
        let client_id = match &self.client_id {
            Some(client_id) => cx.identifier(client_id).await?,
            None => String::new(),
        };
        let context = ProofContext {
            fetch: cx,
            options: &self.options,
            issuer: self.issuer_or(metadata),
            token_endpoint: self.token_endpoint_or(metadata, endpoint),
            endpoint,
            metadata,
        };
        let mut proof = method.prove(client_id, &context).await?;
        for (name, value) in self.headers.iter() {
            headers::put(&mut proof.headers, name, &cx.secret(value).await?)?;
        }
        Ok(proof)
    }

    /// Returns what an API response says about the proof of the key, if it says anything.
    fn judge_proof(&self, response: &ApiResponse<'_>) -> Option<Verdict> {
        let nonces = &self.memory.nonces;
        let learned = nonces.learn(Side::Api, response.url(), response.headers());
        if response.status() != StatusCode::UNAUTHORIZED {
            return None;
        }
        let said = wire::challenge_parameters(response.headers(), "error");
        let says = |code: &str| said.iter().any(|error| error == code);
        if says(USE_NONCE) && learned {
            return Some(Verdict::Resend);
        }
        // Another token would not help.
        says("invalid_dpop_proof").then_some(Verdict::Accepted)
    }

    fn token_endpoint_or<'a>(
        &'a self,
        metadata: Option<&'a Metadata>,
        endpoint: &'a Url,
    ) -> &'a Url {
        let discovered = metadata.map(|known| &known.token_endpoint);
        let token_endpoint = self.token_endpoint.as_ref().or(discovered);
        token_endpoint.unwrap_or(endpoint)
    }

    /// Returns the audience of assertions.
    fn audience(
        &self,
        metadata: Option<&Metadata>,
        token_endpoint: &Url,
        endpoint: &Url,
    ) -> String {
        let issuer = self.issuer_or(metadata);
        self.options.audience(issuer, token_endpoint, endpoint)
    }
}

pub(crate) const KIND: &str = "oauth2";

impl fmt::Debug for OAuth2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<_> = self.parameters.iter().map(|(name, _)| name).collect();
        f.debug_struct("OAuth2")
            .field("id", &self.id)
            .field("issuer", &self.issuer)
            .field("grant", &self.grant.name())
            .field("client_authentication", &self.authentication)
            .field("dpop", &self.dpop)
            .field("parameters", &known)
            .finish_non_exhaustive()
    }
}
