//! A key in a PKCS#11 token: a hardware module, a TPM, SoftHSM.

mod device;
mod pins;
mod uri;
mod worker;

use std::{fmt, sync::Arc, time::Duration};

use biped_config::{ConfigTable, Field, FieldType};
use biped_core::{Error, SecretRef, SecretString, SourceContext, async_trait};

use self::{
    device::{Open, Problem},
    uri::Uri,
    worker::{Fault, Worker},
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
    /// Calls the device, one call after the other, since most do one thing at a time, with the session and
    /// the key in it.
    device: Arc<Worker<Option<Open>>>,
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
            device: Arc::default(),
        })
    }

    /// Does `work` with the open key, off the runtime. A session that was lost is opened anew once.
    async fn with_key<T: Send + 'static>(
        &self,
        cx: &SourceContext<'_>,
        work: impl Fn(&Open) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Error> {
        let pin: Option<SecretString> = match &self.pin {
            Some(pin) => Some(cx.secret(pin).await?),
            None => None,
        };
        let uri = self.uri.clone();
        let working = move |open: &mut Option<Open>| {
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
        };
        let done = self.device.call(working, cx.clock().sleep(TIMEOUT)).await;
        let name = self.reference();
        let failed = |what: String| Error::secret(format!("{name} {what}")).transient(true);
        done.map_err(|fault| match fault {
            Fault::Overdue => {
                failed("does not respond; an earlier call has not returned yet".into())
            }
            Fault::TimedOut => failed(format!("took more than {} s", TIMEOUT.as_secs())),
            Fault::Panicked => Error::internal("a call of a PKCS#11 module panicked"),
            Fault::NoThread(error) => failed(format!("can't be asked: {error}")),
        })?
        .map_err(|problem| problem.into_error(&name))
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
