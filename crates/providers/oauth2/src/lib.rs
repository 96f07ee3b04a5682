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
//! | RFC 6749 §4.4 | client credentials grant | yes; no other grant |
//! | RFC 6749 §2.3.1 | `client_secret_basic`, `client_secret_post` | yes; [`BasicEncoding`] for servers that read Basic otherwise |
//! | RFC 6749 §3.3 | scope | yes; one the server narrows is in [`Token::scope`](biped_core::Token::scope) |
//! | RFC 6749 §5.1 | token response | yes, with tolerance: `expires_in` as text, fraction, null or absent, `token_type` absent or in any case, scope as a list, any 2xx, any content type; further fields are kept, a refresh token is not |
//! | RFC 6749 §5.2 | error response | yes; at any status, in a 2xx too, else read from `WWW-Authenticate` |
//! | RFC 6749 §7.1 | unknown token types | refused |
//! | RFC 6750 §2.1, §3 | bearer tokens in the header, challenges | yes; not in body or query |
//! | RFC 7009 | revocation | yes, of access tokens: `TokenSource::revoke`, and `TokenManager::revoke_unshared` when an application ends |
//! | RFC 7515, 7517, 7518, 7638, 8037, 9864 | signatures and keys | RS, PS, ES with 256, 384, 512, `EdDSA` (or `Ed25519`, its new name), HS for secrets; PEM (PKCS#8, PKCS#1, SEC1) and private JSON Web Keys, also one of a set; `x5t#S256`, `x5t` and `x5c` name the key's certificate (Entra ID) |
//! | RFC 8018 §6.2 | encrypted keys | PKCS#8 with PBES2: PBKDF2 and AES-CBC, as OpenSSL writes it; not scrypt, DES, nor keys encrypted in older ways |
//! | RFC 7521 §4.2, RFC 7523 §2.2 | `client_secret_jwt`, `private_key_jwt` | yes; a fresh `jti` for each attempt, `iat` [back-dated](CLOCK_SKEW), `exp` [a minute](ASSERTION_LIFETIME) ahead |
//! | RFC 7523 §2.1 | assertions as grants | no |
//! | RFC 7591, 7592 | registration | no |
//! | RFC 7662 | introspection | [`inspect`](biped_core::Provider::inspect), of a token asked for to be looked at; JSON only |
//! | RFC 8414 §3 | metadata | yes; the issuer is compared (§3.3), [believed for an hour](METADATA_LIFETIME), asked for again when the token endpoint is gone; signed metadata is not read |
//! | OpenID Connect Discovery §4 | metadata | yes, where RFC 8414's isn't there |
//! | RFC 8628, 8693, 9126, 9396 | device grant, token exchange, pushed requests, rich requests | no; `authorization_details` can be a parameter |
//! | RFC 8705 §2 | `tls_client_auth`, `self_signed_tls_client_auth` | yes |
//! | RFC 8705 §3, §5 | tokens bound to a certificate, endpoint aliases | yes: API calls present it too |
//! | RFC 8707 §2 | `resource` | yes, repeatable; and `audience` for those who have that |
//! | RFC 9068 | JWT access tokens | used as any other; `exp` tells their life where the answer doesn't |
//! | RFC 9449 | DPoP | yes: §4 proofs for token requests and API calls, with `ath`; §5 bound tokens; §8, §9 nonces of both sides, also those in good answers; the key is the process's own or given, its proofs signed as the server lists. A token that the server didn't bind is refused |
//! | RFC 9701 | JWT introspection responses | no |
//!
//! Tokens bound to a key never enter a store.
//!
//! For Entra ID, which knows a client by a certificate, `certificate` stands beside `key`:
//!
//! ```toml
//! [providers.graph]
//! kind = "oauth2"
//! issuer = "https://login.microsoftonline.com/TENANT/v2.0"
//! client_id = "…"
//! key = "file:/run/secrets/graph.key.pem"
//! key_password = "env:GRAPH_KEY_PASSWORD"  # where the key is encrypted
//! certificate = "file:graph.pem"           # its thumbprint is in the header of assertions
//! # certificate_header = ["x5t", "x5c"]    # default: x5t#S256
//! alg = "PS256"
//! assertion_audience = "token_endpoint"
//! scope = "https://graph.microsoft.com/.default"
//! api_base_url = "https://graph.microsoft.com/v1.0"
//! ```
//!
//! # On the `oauth2` crate
//!
//! The `oauth2` crate writes the requests: the form, the grant, the scopes,
//! the credentials in form or header; and it reads the token response into a type of ours. It is
//! gone around where it would lose something:
//!
//! - The answer's status, `Retry-After` and error words are read before the crate sees it, and any
//!   success and content type is one to it.
//! - A Basic header that isn't form-encoded replaces the crate's, and assertions and DPoP proofs,
//!   which it doesn't know, are added.
//! - Revocation is asked for by its introspection request, the same on the wire: its own takes no
//!   http, which a server on loopback may have. The answer to either is read here.
//!
//! Signatures are made with `aws-lc-rs`, which is in a build already for TLS, and which reads and
//! makes keys that crates for JWTs leave to others.

mod answer;
mod authentication;
mod certificate;
mod config;
mod der;
mod dpop;
mod exchange;
mod grant_request;
mod introspection;
mod key;
mod metadata;
mod provider;

pub use self::{
    authentication::{ASSERTION_LIFETIME, BasicEncoding, CLOCK_SKEW, ClientAuthentication},
    certificate::CertificateHeader,
    config::kind,
    grant_request::{AUDIENCE, RESOURCE},
    key::Algorithm,
    metadata::METADATA_LIFETIME,
    provider::OAuth2,
};
