//! [`SecretSource`]: a place for secrets that Biped doesn't know.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use biped_io::{before, block_on};
use secrecy::SecretString;

use super::command::COMMAND_TIMEOUT;
use biped_error::{Clock, Error, SystemClock, Timestamp};

/// How long after a refusal a source is read again: that costs a request, as a rule.
const SOURCE_RECHECK: Duration = Duration::from_secs(30);

/// A place for secrets that Biped doesn't know, such as a vault. A
/// [`SecretRef`](crate::SecretRef) holds it, and reads it at each fetch.
#[async_trait]
pub trait SecretSource: fmt::Debug + Send + Sync {
    /// The reference, such as `vault:kv/shop`. It is shown.
    fn reference(&self) -> String;

    /// Tells this place from others, and is not shown: two sources with one identity are the same place.
    /// A source adds what its reference leaves out, such as the server's address. Default: the
    /// [`reference`](Self::reference).
    fn identity(&self) -> String {
        self.reference()
    }

    /// Reads the secret. It has 10 s.
    ///
    /// # Errors
    /// [`Secret`](biped_error::ErrorKind::Secret), transient where a later read may succeed. The message
    /// must not show a secret.
    async fn read(&self, cx: &SourceContext<'_>) -> Result<SecretString, Error>;

    /// How long after a refusal the secret is read again, to see whether it has changed. Default:
    /// 30 s.
    fn recheck_interval(&self) -> Duration {
        SOURCE_RECHECK
    }
}

/// What a [`SecretSource`] has while it reads.
#[derive(Clone, Copy)]
pub struct SourceContext<'a> {
    pub(super) clock: &'a dyn Clock,
}

impl<'a> SourceContext<'a> {
    /// A context on this clock.
    #[must_use]
    pub fn new(clock: &'a dyn Clock) -> Self {
        Self { clock }
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &'a dyn Clock {
        self.clock
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now().wall
    }
}

impl fmt::Debug for SourceContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceContext").finish_non_exhaustive()
    }
}

/// Reads a source within the time that it has.
pub(super) async fn read(
    source: &dyn SecretSource,
    clock: &dyn Clock,
) -> Result<SecretString, Error> {
    let context = SourceContext::new(clock);
    let timeout = clock.sleep(COMMAND_TIMEOUT);
    before(timeout, source.read(&context))
        .await
        .unwrap_or_else(|| {
            let reference = source.reference();
            let seconds = COMMAND_TIMEOUT.as_secs();
            let what = format!("reading the secret {reference} took more than {seconds} s");
            Err(Error::secret(what).transient(true))
        })
}

/// The same without a runtime.
pub(super) fn read_now(source: &dyn SecretSource) -> Result<SecretString, Error> {
    block_on(read(source, &SystemClock))
        .unwrap_or_else(|error| Err(Error::internal(format!("a secret can't be read: {error}"))))
}
