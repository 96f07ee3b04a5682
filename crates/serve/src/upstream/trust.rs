//! Which servers are trusted, and as whom the sidecar presents itself.

use std::sync::Arc;

use biped::{Error, client::ClientIdentity, reqwest::HttpSettings};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls_platform_verifier::BuilderVerifierExt;

/// The platform's certificates, `[http] extra_ca`, and a certificate of one's own.
pub(super) fn config(
    settings: &HttpSettings,
    identity: Option<&ClientIdentity>,
) -> Result<ClientConfig, Error> {
    let crypto = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal("TLS can't be set up").with_source(error))?;
    let builder = match roots(settings)? {
        Some(roots) => builder.with_root_certificates(roots),
        None => builder.with_platform_verifier().map_err(|error| {
            Error::configuration("the platform's certificates can't be read").with_source(error)
        })?,
    };
    let Some(identity) = identity else {
        return Ok(builder.with_no_client_auth());
    };
    // The cause is dropped, because a parser's message may show parts of the PEM text.
    let unreadable = || {
        Error::configuration("the client certificate can't be read")
            .with_remedy("give a certificate chain and its unencrypted private key as PEM")
    };
    let pem = identity.expose_pem();
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| unreadable())?;
    builder
        .with_client_auth_cert(chain.map_err(|_| unreadable())?, key)
        .map_err(|_| unreadable())
}

/// The platform's certificates and those of `extra_ca`; `None` without the latter.
fn roots(settings: &HttpSettings) -> Result<Option<RootCertStore>, Error> {
    let mut extra = Vec::new();
    for pem in settings.extra_cas() {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        extra.extend(read.map_err(|_| Error::configuration("extra_ca is not PEM"))?);
    }
    if extra.is_empty() {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    // The platform's own may be none, or not all readable.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let (added, _) = roots.add_parsable_certificates(extra);
    match added {
        0 => Err(Error::configuration(
            "extra_ca does not contain a certificate",
        )),
        _ => Ok(Some(roots)),
    }
}
