//! [`Tls`]: TLS of callers' connections, whose certificate may be replaced while the sidecar runs.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use biped::{
    Error, ExposeSecret,
    provider::{Clock, SecretRef, SystemClock},
};
use rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use webpki::EndEntityCert;

use crate::config::TlsSettings;

/// How often the files are checked for changes.
const LOOK: Duration = Duration::from_secs(1);
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// TLS of callers' connections.
#[derive(Debug)]
pub(crate) struct Tls {
    settings: TlsSettings,
    loaded: ArcSwap<Loaded>,
    look: Mutex<Look>,
}

/// What new connections are served with.
#[derive(Debug)]
pub(crate) struct Loaded {
    hash: [u8; 32],
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
}

#[derive(Debug, Default)]
struct Look {
    last: Duration,
    /// What was read last and could not be used, so that it is told once.
    failed: Option<String>,
}

/// The texts that a configuration is made of.
struct Texts {
    certificate: biped::SecretString,
    key: biped::SecretString,
    client_ca: Option<biped::SecretString>,
}

/// Both ends of an encrypted connection.
#[derive(Clone, Debug)]
pub(crate) struct Secured {
    loaded: Arc<Loaded>,
    /// The caller's certificate, which an authority of `client_ca` signed.
    caller: Option<CertificateDer<'static>>,
}

impl Tls {
    pub(crate) async fn open(settings: TlsSettings) -> Result<Self, Error> {
        let loaded = Loaded::new(&Texts::read(&settings).await?)?;
        Ok(Self {
            settings,
            loaded: ArcSwap::from_pointee(loaded),
            look: Mutex::default(),
        })
    }

    pub(crate) fn settings(&self) -> &TlsSettings {
        &self.settings
    }

    /// Encrypts a caller's connection; `None` if the handshake fails or takes too long.
    pub(crate) async fn accept<S>(&self, stream: S) -> Option<(TlsStream<S>, Secured)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let loaded = self.loaded.load_full();
        let accepted = TlsAcceptor::from(loaded.config.clone()).accept(stream);
        let stream = tokio::select! {
            biased;
            accepted = accepted => accepted,
            () = SystemClock.sleep(HANDSHAKE) => {
                tracing::debug!("a caller's TLS handshake took too long");
                return None;
            }
        };
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!("a caller's TLS handshake failed: {error}");
                return None;
            }
        };
        let chain = stream.get_ref().1.peer_certificates();
        let caller = chain.and_then(|chain| chain.first().cloned());
        Some((stream, Secured { loaded, caller }))
    }

    /// Whether it is time to read the files again.
    pub(crate) fn is_due(&self) -> bool {
        let now = SystemClock.now().mono;
        let TlsSettings {
            certificate,
            key,
            client_ca,
        } = &self.settings;
        let all = [Some(certificate), Some(key), client_ca.as_ref()];
        let intervals = all.into_iter().flatten().map(SecretRef::recheck_interval);
        let interval = intervals.max().unwrap_or(LOOK);
        let mut look = lock(&self.look);
        let is_due = now.saturating_sub(look.last) >= interval;
        if is_due {
            look.last = now;
        }
        is_due
    }

    /// Reads the files again. What can't be used changes nothing.
    pub(crate) async fn refresh(&self) {
        let read = match Texts::read(&self.settings).await {
            Ok(texts) if texts.hash() == self.loaded.load().hash => None,
            Ok(texts) => Some(Loaded::new(&texts)),
            Err(error) => Some(Err(error)),
        };
        match read {
            None => lock(&self.look).failed = None,
            Some(Ok(loaded)) => {
                self.loaded.store(Arc::new(loaded));
                lock(&self.look).failed = None;
                tracing::info!("the certificate of [serve] tls was read again");
            }
            Some(Err(error)) => {
                let error = error.to_string();
                let mut look = lock(&self.look);
                if look.failed.as_ref() != Some(&error) {
                    tracing::warn!("[serve] tls stays as it was: {error}");
                    look.failed = Some(error);
                }
            }
        }
    }
}

impl Texts {
    async fn read(settings: &TlsSettings) -> Result<Self, Error> {
        let client_ca = match &settings.client_ca {
            Some(ca) => Some(ca.resolve(0, &SystemClock).await?),
            None => None,
        };
        Ok(Self {
            certificate: settings.certificate.resolve(0, &SystemClock).await?,
            key: settings.key.resolve(0, &SystemClock).await?,
            client_ca,
        })
    }

    fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for text in [
            Some(&self.certificate),
            Some(&self.key),
            self.client_ca.as_ref(),
        ] {
            let text = text.map_or("", |text| text.expose_secret());
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        hash.finalize().into()
    }
}

impl Loaded {
    fn new(texts: &Texts) -> Result<Self, Error> {
        let crypto = Arc::new(aws_lc_rs::default_provider());
        let chain = certificates(&texts.certificate, "certificate")?;
        // The causes are dropped, because a parser's message may show parts of the PEM text.
        let key = PrivateKeyDer::from_pem_slice(texts.key.expose_secret().as_bytes());
        let key = key.map_err(|_| {
            unreadable("key").with_remedy("give an unencrypted private key as PEM, as file:PATH")
        })?;
        let builder = ServerConfig::builder_with_provider(crypto.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::internal("TLS can't be set up").with_source(error))?;
        let builder = match &texts.client_ca {
            // Callers need no certificate, because they may have a token.
            Some(ca) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(roots(ca)?, crypto)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|_| unreadable("client_ca"))?,
            ),
            None => builder.with_no_client_auth(),
        };
        let certificate = chain
            .first()
            .cloned()
            .ok_or_else(|| unreadable("certificate"))?;
        let mut config = builder.with_single_cert(chain, key).map_err(|_| {
            Error::configuration("serve.tls: the key is not the certificate's")
                .with_remedy("give the private key that the certificate was made for")
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            hash: texts.hash(),
            config: Arc::new(config),
            certificate,
        })
    }
}

fn roots(ca: &biped::SecretString) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca, "client_ca")? {
        roots
            .add(certificate)
            .map_err(|_| unreadable("client_ca"))?;
    }
    Ok(Arc::new(roots))
}

fn certificates(
    pem: &biped::SecretString,
    key: &str,
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_slice_iter(pem.expose_secret().as_bytes());
    match read.collect::<Result<Vec<_>, _>>() {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(unreadable(key).with_remedy("give certificates as PEM, as file:PATH")),
    }
}

fn unreadable(key: &str) -> Error {
    Error::configuration(format!("serve.tls.{key} can't be read"))
}

impl Secured {
    /// Whether the listener's certificate is for this DNS name or IP address.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        is_for(&self.loaded.certificate, name)
    }

    /// Whether the caller's certificate has this name: a DNS name or a URI as written, or an IP address.
    /// A wildcard in a certificate stands for itself only.
    pub(crate) fn is_caller(&self, name: &str) -> bool {
        let Some(certificate) = &self.caller else {
            return false;
        };
        let Ok(parsed) = EndEntityCert::try_from(certificate) else {
            return false;
        };
        parsed.valid_uri_names().any(|known| known == name)
            || parsed
                .valid_dns_names()
                .any(|known| known.eq_ignore_ascii_case(name))
            || name.parse::<std::net::IpAddr>().is_ok() && is_for(certificate, name)
    }
}

fn is_for(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let Ok(parsed) = EndEntityCert::try_from(certificate) else {
        return false;
    };
    ServerName::try_from(name)
        .is_ok_and(|name| parsed.verify_is_valid_for_subject_name(&name).is_ok())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[tokio::test]
    async fn a_certificate_without_its_key_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let made = || {
            let params = CertificateParams::new(vec!["sidecar.test".to_owned()]).unwrap();
            let key = KeyPair::generate().unwrap();
            (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
        };
        let (first, next) = (made(), made());
        std::fs::write(at("crt"), first.0).unwrap();
        std::fs::write(at("key"), first.1).unwrap();
        let settings = TlsSettings {
            certificate: SecretRef::file(at("crt")),
            key: SecretRef::file(at("key")),
            client_ca: None,
        };
        let tls = Tls::open(settings).await.unwrap();
        let old = tls.loaded.load().hash;
        std::fs::write(at("crt"), next.0).unwrap();
        tls.refresh().await;
        assert_eq!(tls.loaded.load().hash, old);
        assert!(lock(&tls.look).failed.is_some());
        std::fs::write(at("key"), next.1).unwrap();
        tls.refresh().await;
        assert_ne!(tls.loaded.load().hash, old);
        assert!(lock(&tls.look).failed.is_none());
    }
}
