//! A key in a PKCS#11 token: a hardware module, a TPM, SoftHSM.

mod device;
mod pins;
mod uri;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use biped_config::{ConfigTable, Field, FieldType};
use biped_core::{Error, SecretRef, SecretString, SourceContext, async_trait};
use biped_io::before;

use self::{
    device::{Open, Problem},
    uri::Uri,
};
use super::{Signer, public::PublicKey};
use crate::key::Algorithm;

pub use self::pins::remember_refused_pins;

/// The key of its table.
const KEY: &str = "pkcs11";

/// How long a device may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A key in a token.
pub(crate) struct Pkcs11 {
    uri: Arc<Uri>,
    pin: Option<SecretRef>,
    /// The session, and the key in it. Held while the device works, since most do one thing at a time.
    open: Arc<Mutex<Option<Open>>>,
}

impl Pkcs11 {
    pub(crate) fn from_config(table: &ConfigTable) -> Option<Self> {
        table.check(&[
            Field::new(KEY, FieldType::Text),
            Field::new("pin", FieldType::Secret),
        ]);
        let uri = match Uri::parse(&table.string(KEY)?) {
            Ok(uri) => uri,
            Err(error) => {
                drop(table.invalid(KEY, error.message()));
                return None;
            }
        };
        Some(Self {
            uri: uri.into(),
            pin: table.secret("pin"),
            open: Arc::default(),
        })
    }

    /// Does `work` with the open key on a thread of its own. A session that was lost is opened anew once.
    async fn with_key<T: Send + 'static>(
        &self,
        cx: &SourceContext<'_>,
        work: impl Fn(&Open) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Error> {
        let pin: Option<SecretString> = match &self.pin {
            Some(pin) => Some(cx.secret(pin).await?),
            None => None,
        };
        let (uri, open) = (self.uri.clone(), self.open.clone());
        let working = tokio::task::spawn_blocking(move || {
            let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = &*open {
                match work(known) {
                    Err(Problem::Lost(_)) => *open = None,
                    done => return done,
                }
            }
            let new = Open::new(&uri, pin.as_ref())?;
            let done = work(&new);
            *open = Some(new);
            done
        });
        let name = self.reference();
        match before(cx.clock().sleep(TIMEOUT), working).await {
            None => {
                let seconds = TIMEOUT.as_secs();
                let what = format!("{name} took more than {seconds} s");
                Err(Error::secret(what).transient(true))
            }
            Some(Err(_)) => Err(Error::internal("a call of a PKCS#11 module panicked")),
            Some(Ok(done)) => done.map_err(|problem| problem.into_error(&name)),
        }
    }
}

#[async_trait]
impl Signer for Pkcs11 {
    fn reference(&self) -> String {
        self.uri.shown().to_owned()
    }

    fn identity(&self) -> String {
        format!("{:?}", (self.uri.text(), &self.pin))
    }

    fn secrets(&self) -> Vec<SecretRef> {
        self.pin.iter().cloned().collect()
    }

    async fn public(&self, cx: &SourceContext<'_>) -> Result<PublicKey, Error> {
        self.with_key(cx, Open::public).await
    }

    async fn sign(
        &self,
        alg: Algorithm,
        message: &[u8],
        cx: &SourceContext<'_>,
    ) -> Result<Vec<u8>, Error> {
        let message = message.to_vec();
        self.with_key(cx, move |open| open.sign(alg, &message))
            .await
    }
}

/// What is shown of a URI.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_uri(text: &str) -> Option<String> {
    Some(Uri::parse(text).ok()?.shown().to_owned())
}

impl fmt::Debug for Pkcs11 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pkcs11").field(&self.uri.shown()).finish()
    }
}
