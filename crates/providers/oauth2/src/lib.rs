//! Standard authorization servers for Biped: the provider of kind `oauth2`.
//!
//! ```
//! use biped_core::{SecretRef, TokenRequest};
//! use biped_oauth2::{OAuth2, RESOURCE};
//!
//! let provider = OAuth2::discovered("https://login.example", SecretRef::inline("client-7"))
//!     .client_secret(SecretRef::env("CRM_SECRET"))
//!     .dpop();
//! let contacts = TokenRequest::new()
//!     .scope("contacts.read")
//!     .param(RESOURCE, "https://api.crm.example");
//! # let _ = (provider, contacts);
//! ```
//!
//! In a configuration file:
//!
//! ```toml
//! [providers.crm]
//! kind = "oauth2"
//! issuer = "https://login.example"
//! client_id = "client-7"
//! key = "file:/run/secrets/crm.pem"        # private_key_jwt
//! scope = "contacts.read"
//! resource = ["https://api.crm.example"]
//! dpop = true
//! api_base_url = "https://api.crm.example"
//! ```
//!
//! # What is supported
//!
//! | standard | what | here |
//! | --- | --- | --- |
//! | RFC 6749 §4.1, §4.2 | authorization code and implicit grants | no: they need a person |
//! | RFC 6749 §4.4 | client credentials grant | yes |
//! | RFC 6749 §4.3 | password grant | yes, for servers that have no other |
//! | RFC 6749 §6 | refresh token grant | yes: a fixed refresh token, or one that changes with each use, which a sealed durable store keeps |
//! | RFC 6749 §2.3.1 | `client_secret_basic`, `client_secret_post` | yes; [`BasicEncoding`] for servers that read Basic otherwise |
//! | RFC 6749 §3.3 | scope | yes; one the server narrows is in [`Token::scope`](biped_core::Token::scope) |
//! | RFC 6749 §5.1 | token response | yes, with tolerance: `expires_in` as a string, fraction, null or absent (then `expires_on` or `expires_at`, in seconds since 1970 or as a date), `token_type` absent, in any case, or of an unknown name, scope as a list, any 2xx, any content type; further fields are kept; a refresh token is kept only by the refresh token grant |
//! | RFC 6749 §5.2 | error response | yes; at any status, even 2xx, else read from `WWW-Authenticate` |
//! | RFC 6749 §7.1 | unknown token types | sent as bearer tokens, with a warning; `mac`, `pop` and `N_A` are refused |
//! | RFC 6750 §2.1, §3 | bearer tokens in the header, challenges | yes; not in body or query. `invalid_token` rejects a token at any status; `expired` says otherwise how an API rejects it |
//! | RFC 7009 | revocation | yes, of access tokens: `TokenSource::revoke`, and `TokenManager::revoke_unshared` when an application ends |
//! | RFC 7515, 7517, 7518, 7638, 8037, 9864 | signatures and keys | RS, PS, ES with 256, 384, 512, `EdDSA` (or `Ed25519`, its new name), HS for secrets; PEM (PKCS#8, PKCS#1, SEC1) and private JSON Web Keys, also one of a set; `x5t#S256`, `x5t` and `x5c` name the key's certificate (Entra ID) |
//! | RFC 8018 §6.2 | encrypted keys | PKCS#8 with PBES2: PBKDF2 and AES-CBC, as OpenSSL writes it; not scrypt, DES, or older encryptions |
//! | RFC 7521 §4.2, RFC 7523 §2.2 | `client_secret_jwt`, `private_key_jwt` | yes; a new `jti` for each attempt, `iat` [back-dated](ASSERTION_BACKDATING), `exp` [a minute](ASSERTION_LIFETIME) ahead |
//! | draft-ietf-oauth-rfc7523bis | `typ` and `aud` of client assertions | yes: `client-authentication+jwt`, and the issuer as one text; `assertion_typ` and `assertion_audience` set others |
//! | RFC 7521 §4.2 | client assertions of other parties | yes: files, platforms, other providers ([`ExternalToken`]) |
//! | draft-ietf-oauth-spiffe-client-auth | SVIDs as client authentication | yes: JWT-SVIDs with the type `jwt-spiffe`; X.509-SVIDs in files by `tls_client_auth` |
//! | RFC 7521 §4.1, RFC 7523 §2.1 | assertions as grants | yes: signed here, or of other parties, with and without client authentication |
//! | RFC 8693 | token exchange | yes, with actor tokens, and with several audiences and resources; `token_type` `N_A` is taken if `requested_token_type` is set |
//! | RFC 7591, 7592 | registration | no |
//! | RFC 7662 | introspection | [`inspect`](biped_core::Provider::inspect), of a token that is requested for it; JSON only |
//! | RFC 8414 §3 | metadata | yes; the issuer is compared (§3.3); [used for an hour](METADATA_LIFETIME), or until the token endpoint is gone; signed metadata is not read |
//! | OpenID Connect Discovery §4 | metadata | yes, if there is none at the URL of RFC 8414 |
//! | RFC 8628, 9126, 9396 | device grant, pushed requests, rich requests | no; `authorization_details` can be a parameter |
//! | RFC 8705 §2 | `tls_client_auth`, `self_signed_tls_client_auth` | yes |
//! | RFC 8705 §3, §5 | tokens bound to a certificate, endpoint aliases | yes: API calls present it too |
//! | RFC 8707 §2 | `resource` | yes, repeatable; what is no URI, such as a GUID, is sent with a warning; and `audience` for servers that use it instead |
//! | RFC 9068 | JWT access tokens | used as any other; `exp` is used if the response has no `expires_in` |
//! | RFC 9449 | DPoP | yes: §4 proofs for token requests and API calls, with `ath`; §5 bound tokens; §8, §9 nonces of both sides, also those in successful responses; the key is generated by the process or configured, and signs with an algorithm that the server lists. A token that the server did not bind is refused |
//! | RFC 9728 | protected resource metadata | yes, of `api`: §3 at the well-known URLs, §4 the issuer's `protected_resources`, §5.1 in a challenge; unsigned only. A `resource` whose path the API's continues counts as the API's own, which §3.3 does not say |
//! | RFC 9470 | step-up authentication | no: a challenge with `insufficient_scope` rejects no token |
//! | RFC 9701 | JWT introspection responses | no |
//!
//! A token that is bound to the configured `dpop_key` or `certificate` enters a sealed store only, and only
//! processes with that key or certificate use it from there. One that is bound to the key of a process enters
//! no store. A JWT says whether it is bound to the certificate (`cnf` with `x5t#S256`); the issuer's metadata
//! say so of all tokens (`tls_client_certificate_bound_access_tokens`).
//!
//! For Entra ID, which identifies a client by a certificate, set `certificate` together with `key`:
//!
//! ```toml
//! [providers.graph]
//! kind = "oauth2"
//! issuer = "https://login.microsoftonline.com/TENANT/v2.0"
//! client_id = "…"
//! key = "file:/run/secrets/graph.key.pem"
//! key_password = "env:GRAPH_KEY_PASSWORD"  # if the key is encrypted
//! certificate = "file:graph.pem"           # its thumbprint is in the header of assertions
//! # certificate_header = ["x5t", "x5c"]    # default: x5t#S256
//! alg = "PS256"
//! assertion_audience = "token_endpoint"
//! scope = "https://graph.microsoft.com/.default"
//! api_base_url = "https://graph.microsoft.com/v1.0"
//! ```
//!
//! # The `oauth2` crate
//!
//! The `oauth2` crate writes the requests: the form, the grant, the scopes, and the credentials in
//! form or header. It also parses the token response into a type of this crate. Where it would lose
//! something, this crate replaces it:
//!
//! - The status, `Retry-After` and the error of a response are read before the crate sees it, and
//!   any success status and content type are accepted.
//! - A Basic header that is not form-encoded replaces the crate's own. Assertions and DPoP proofs,
//!   which the crate does not support, are added.
//! - A revocation uses the crate's introspection request, which is the same on the wire: its
//!   revocation request does not accept http, which a server on loopback may have. The responses to
//!   both are read here.
//!
//! `aws-lc-rs` makes the signatures. Most builds contain it for TLS already, and it reads and
//! generates keys, which JWT crates leave to others.
//!
//! # The files
//!
//! | file | what it is |
//! | --- | --- |
//! | `provider.rs` | [`OAuth2`]: fetching, attaching, judging, introspecting and revoking tokens |
//! | `provider/proof.rs` | how the client proves who it is, for people |
//! | `provider/accepted.rs` | which credentials may go only to a configured issuer |
//! | `provider/discovery.rs` | what is learned before a token is requested |
//! | `provider/settings.rs` | the settings of an [`OAuth2`], and its id |
//! | `config.rs` | [`kind`]: the keys in a configuration file |
//! | `authentication.rs` | every client authentication method, in order of preference, and the choice of one |
//! | `authentication/method.rs` | [`ClientAuthentication`], and what a method is made of |
//! | `authentication/{basic,post,secret_jwt,key_jwt,certificate,client_assertion,none}.rs` | the methods, each with its keys, its constructor and its proof |
//! | `authentication/basic_encoding.rs` | [`BasicEncoding`] |
//! | `authentication/assertion.rs` | the JWT of `client_secret_jwt` and `private_key_jwt` |
//! | `authentication/options.rs` | how proofs are made, apart from the credentials |
//! | `authentication/context.rs` | what methods read: of the configuration, and in a fetch |
//! | `authentication/proof.rs` | what a method makes, for each request of a fetch |
//! | `grant.rs` | what a token is requested with, beside the client's own proof |
//! | `presented.rs` | tokens of other parties, as they are presented |
//! | `grant_request.rs` | scopes and parameters of a token request |
//! | `headers.rs` | headers that the configuration adds to requests |
//! | `exchange.rs` | one request to the server, through the `oauth2` crate |
//! | `answer.rs` | the response: its error, or its token |
//! | `introspection.rs` | the response to an introspection |
//! | `metadata.rs` | the server's metadata: found, checked and remembered |
//! | `resource.rs` | what an API says about itself: found, checked and remembered |
//! | `resource/{address,search,document}.rs` | its address, where its metadata is, and how that is read |
//! | `resource/describe.rs` | [`describe_api`]: the same before anything is configured |
//! | `dpop.rs` | DPoP proofs, their keys and nonces |
//! | `certificate.rs` | [`CertificateHeader`]: the certificate in an assertion's header |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod authentication;
mod certificate;
mod config;
mod dpop;
mod exchange;
mod grant;
mod grant_request;
mod headers;
mod introspection;
mod metadata;
mod presented;
mod provider;
mod resource;

#[cfg(feature = "pkcs11")]
pub use biped_sources::remember_refused_pins;
pub use biped_sources::{Algorithm, ExternalToken, PublicKey, Signer};

pub use self::{
    authentication::{
        ASSERTION_BACKDATING, ASSERTION_LIFETIME, BasicEncoding, CLOCK_SKEW, ClientAuthentication,
    },
    certificate::CertificateHeader,
    config::kind,
    grant_request::{AUDIENCE, RESOURCE},
    metadata::METADATA_LIFETIME,
    provider::OAuth2,
    resource::{ApiDescription, describe_api},
};
