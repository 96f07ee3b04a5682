//! [`Error`]: what went wrong, who can fix it, and how. [`StoreError`]: what a store reports.

mod beside;
mod cause;
mod clock;
mod store;
mod told;
mod vendor;
mod waits;

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use biped_redact::{Escaped, one_line};

pub(crate) use self::cause::{Cause, chain};
use self::{
    cause::Causes,
    waits::{Plan, Waits},
};
pub use self::{store::StoreError, vendor::VendorError};

const REFUSED_REQUEST: &str = "the vendor refused the request";
const REFUSED_CLIENT: &str = "the vendor refused the client's credentials";

/// Why there is no token, as one opaque value that is cheap to clone: all callers that waited for a
/// failed fetch get the same error.
///
/// Its [`Display`](fmt::Display) is one line that says what failed and what to do. It never contains a
/// secret, a token or a response body.
///
/// ```
/// use biped_core::{Error, ErrorKind, VendorError};
///
/// let error = Error::refused(VendorError::new(401).code("invalid_client"));
/// assert_eq!(error.kind(), ErrorKind::Refused);
/// assert!(!error.is_transient());
/// assert_eq!(error.vendor().and_then(|v| v.code.as_deref()), Some("invalid_client"));
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    transient: bool,
    refuses_client: bool,
    message: Cow<'static, str>,
    remedy: Option<Cow<'static, str>>,
    provider: Option<Arc<str>>,
    waits: Waits,
    unsent: bool,
    vendor: Option<VendorError>,
    credentials: Option<Arc<Credentials>>,
    token_source: Option<Arc<str>>,
    /// By how many seconds this machine's clock is ahead of the vendor's, if that is worth a word.
    clock_ahead: Option<i64>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    /// Which causes are told. It depends on all the rest.
    causes: OnceLock<Causes>,
    /// The error that tells the text of this one, which tells its kind only.
    told: Option<Error>,
    /// Whether the message says more than the vendor's words do.
    beside_vendor: bool,
}

/// The credentials that the vendor refused. Both texts may be empty.
struct Credentials {
    places: String,
    odd: String,
}

/// What kind of failure an [`Error`] is.
///
/// | kind | when | transient | exit status of the command |
/// | --- | --- | --- | --- |
/// | `Configuration` | a setting or a request breaks a rule | no | 2 |
/// | `Secret` | a secret could not be read | only if a file is missing, empty or on a file system that does not respond, or if a command failed | 2 |
/// | `Refused` | the vendor refused | no | 3 |
/// | `Unreachable` | no connection, a TLS failure, a timeout, a truncated body | yes | 4 |
/// | `Unavailable` | 408, 425, 429 or 5xx | yes | 4 |
/// | `InvalidResponse` | a 2xx that is neither a token nor an error | only if the body is empty | 4 |
/// | `Store` | the token store failed | yes | 4 |
/// | `Internal` | a bug, in a provider or in Biped | no | 1 |
///
/// [`Error::is_unsent`] says whether the vendor was asked before a `Configuration` or a `Secret` error,
/// such as for a server's metadata, or for the first of two secrets.
///
/// A response without a known error code is classified by its status. 408, 425, 429 and every 5xx are
/// `Unavailable`. Every other 4xx is `Refused`: 401 refuses the client's credentials, the others
/// refuse this request. A 3xx is `InvalidResponse`, since redirects are never followed on token
/// requests. A 2xx that names an error is `Refused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting or a request breaks a rule.
    Configuration,
    /// A secret could not be read.
    Secret,
    /// The vendor refused the request.
    Refused,
    /// No complete response: no connection, a TLS failure, a timeout, or a truncated body.
    Unreachable,
    /// The vendor answered 408, 425, 429 or 5xx.
    Unavailable,
    /// The vendor answered 2xx with neither a token nor an error.
    InvalidResponse,
    /// The token store failed.
    Store,
    /// A bug, in a provider or in Biped.
    Internal,
}

impl ErrorKind {
    /// Returns the kind's name in lower case, as in logs, metrics and the command's JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Secret => "secret",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Unavailable => "unavailable",
            Self::InvalidResponse => "invalid_response",
            Self::Store => "store",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Error {
    /// A setting or a request breaks a rule. The message says which, and what is expected.
    pub fn configuration(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Configuration, false, message)
    }

    /// Several settings break a rule, one line each. Only this error's message has more than one line.
    pub fn configuration_lines(lines: impl IntoIterator<Item = impl fmt::Display>) -> Self {
        let lines: Vec<_> = lines
            .into_iter()
            .map(|line| Escaped(&line.to_string()).to_string())
            .collect();
        let mut error = Self::configuration("");
        error.inner().message = lines.join("\n").into();
        error
    }

    /// A secret could not be read.
    pub fn secret(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Secret, false, message)
    }

    /// The vendor refused. The code says whether it refused the client or only this request
    /// ([`refuses_client`](Self::refuses_client)).
    pub fn refused(vendor: VendorError) -> Self {
        let mut error = Self::new(ErrorKind::Refused, false, REFUSED_REQUEST);
        if refuses_client(&vendor) {
            error = error.refusing_client(true);
        } else if vendor.status == Some(404) {
            error.inner().remedy =
                Some("check the URL; there is no token endpoint at this address".into());
        }
        error.with_vendor(vendor)
    }

    /// There was no complete response: no connection, a TLS failure, a timeout, or a truncated body.
    pub fn unreachable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Unreachable, true, message)
    }

    /// The vendor is temporarily unavailable: it answered 408, 425, 429 or 5xx.
    pub fn unavailable(vendor: VendorError) -> Self {
        Self::new(
            ErrorKind::Unavailable,
            true,
            "the vendor is temporarily unavailable",
        )
        .with_vendor(vendor)
    }

    /// A 2xx that is neither a token nor an error. The message says what is missing, never what is
    /// there.
    pub fn invalid_response(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidResponse, false, message)
    }

    /// The token store failed.
    pub fn store(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Store, true, message)
    }

    /// A bug.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Internal, false, message)
    }

    fn new(kind: ErrorKind, transient: bool, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner {
            kind,
            transient,
            refuses_client: false,
            message: one_line(message.into()),
            remedy: None,
            provider: None,
            waits: Waits::default(),
            unsent: false,
            vendor: None,
            credentials: None,
            token_source: None,
            clock_ahead: None,
            source: None,
            causes: OnceLock::new(),
            told: None,
            beside_vendor: false,
        }))
    }

    fn inner(&mut self) -> &mut Inner {
        let inner = Arc::make_mut(&mut self.0);
        inner.causes.take();
        inner
    }

    /// Replaces the message. It is one line: control characters are escaped.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.inner().message = one_line(message.into());
        self
    }

    /// Adds what to do about it, as an imperative, at the end of the line.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<Cow<'static, str>>) -> Self {
        self.inner().remedy = Some(one_line(remedy.into()));
        self
    }

    /// Adds the vendor's own words.
    #[must_use]
    pub fn with_vendor(mut self, vendor: VendorError) -> Self {
        self.inner().vendor = Some(vendor);
        self
    }

    /// Adds how long the vendor asked to wait (`Retry-After`).
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.inner().waits.requested = retry_after;
        self
    }

    /// Adds when this process asks the vendor again, whatever the vendor asked for.
    #[must_use]
    pub fn with_next_attempt(mut self, wait: Option<Duration>) -> Self {
        self.inner().waits.plan = wait.map(Plan::AsksIn);
        self
    }

    /// Adds that this process is still asking the vendor.
    #[must_use]
    pub fn still_fetching(mut self) -> Self {
        self.inner().waits.plan = Some(Plan::IsAsking);
        self
    }

    /// Removes what this process does next, for a process that ends. What the vendor asked for stays,
    /// if it is no longer than what was planned.
    #[must_use]
    pub fn without_plan(mut self) -> Self {
        self.inner().waits.forget_plan();
        self
    }

    /// Sets whether nothing was sent to the vendor, not even a request without a secret. Default: not
    /// known.
    #[must_use]
    pub fn unsent(mut self, unsent: bool) -> Self {
        self.inner().unsent = unsent;
        self
    }

    /// Adds the name of the provider that failed.
    #[must_use]
    pub fn with_provider(mut self, name: impl Into<Arc<str>>) -> Self {
        self.inner().provider = Some(name.into());
        self
    }

    /// Removes the name of the provider, for a text that names it already.
    #[must_use]
    pub fn without_provider(mut self) -> Self {
        self.inner().provider = None;
        self
    }

    /// Adds the place that failed instead of the vendor: the source of a token that another party
    /// makes, such as `github` or `provider:workload`. Nothing was sent to the vendor.
    #[must_use]
    pub fn with_token_source(mut self, name: impl Into<Arc<str>>) -> Self {
        self.inner().token_source = Some(name.into());
        self
    }

    /// Adds the underlying error. It must not contain a secret either: `source()` shows it, unless the
    /// text of this error contains its text.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.inner().source = Some(Arc::from(source.into()));
        self
    }

    /// Adds where the refused credentials are from, and what is odd about them, with its own remedy. Both
    /// texts may be empty.
    #[must_use]
    pub fn with_credentials(
        mut self,
        places: String,
        odd: String,
        remedy: Option<&'static str>,
    ) -> Self {
        let [places, odd] = [places, odd].map(|text| one_line(text.into()).into_owned());
        let inner = self.inner();
        inner.remedy = remedy.map(Cow::Borrowed).or(inner.remedy.take());
        inner.credentials = Some(Arc::new(Credentials { places, odd }));
        self
    }

    /// The underlying error, whatever of it is told already.
    pub(crate) fn whole_source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.0.source.as_deref()?;
        Some(source)
    }

    /// The same error with other texts: Biped's own keep their lines, the vendor's are cut and escaped
    /// afterwards.
    pub(crate) fn map_words(
        mut self,
        own: impl Fn(&str) -> String,
        vendors: impl Fn(&str) -> String,
    ) -> Self {
        let inner = self.inner();
        inner.message = own(&inner.message).into();
        inner.remedy = inner.remedy.take().map(|remedy| own(&remedy).into());
        inner.vendor = inner.vendor.take().map(|vendor| vendor.map_words(vendors));
        self
    }

    /// Sets whether the same request may succeed later, if the kind's default is wrong.
    #[must_use]
    pub fn transient(mut self, transient: bool) -> Self {
        self.inner().transient = transient;
        self
    }

    /// Sets whether a refusal is of the client's credentials, and so of all its tokens, or of this
    /// request only. It is for vendors that don't use the standard's codes.
    #[must_use]
    pub fn refusing_client(mut self, client: bool) -> Self {
        let inner = self.inner();
        inner.refuses_client = client;
        if client && inner.message == REFUSED_REQUEST {
            inner.message = REFUSED_CLIENT.into();
            inner.remedy = Some("check the credentials".into());
        }
        self
    }

    /// Returns what kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether the same request may succeed later although nothing is changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.0.transient
    }

    /// Returns whether the vendor refused the client itself (`invalid_client`, `unauthorized_client`,
    /// or a 401 that does not blame the request), so that every other request of this client would fail
    /// too.
    #[must_use]
    pub fn refuses_client(&self) -> bool {
        self.0.refuses_client
    }

    /// Returns how long to wait before the next attempt, if the vendor or the token manager says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.waits.next()
    }

    /// Returns whether this process is still asking the vendor, and the caller waited long enough.
    #[must_use]
    pub fn is_still_fetching(&self) -> bool {
        matches!(self.0.waits.plan, Some(Plan::IsAsking))
    }

    /// Returns whether it is known that nothing was sent to the vendor.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        self.0.unsent
    }

    /// Returns the vendor's own words, if it answered.
    #[must_use]
    pub fn vendor(&self) -> Option<&VendorError> {
        self.0.vendor.as_ref()
    }

    /// Returns the name of the provider that failed.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// Returns the source of a token that another party makes, if that failed and not the vendor:
    /// `github`, `file:/run/t`, `provider:workload`.
    #[must_use]
    pub fn token_source(&self) -> Option<&str> {
        self.0.token_source.as_deref()
    }

    /// Returns what failed, without the provider, the vendor's words and the remedy.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns what is odd about the credentials that the vendor refused: a newline at the end of one,
    /// or another that could not be read. It is the likeliest reason of the refusal.
    #[must_use]
    pub fn oddity(&self) -> Option<&str> {
        let credentials = self.0.credentials.as_deref()?;
        Some(&*credentials.odd).filter(|odd| !odd.is_empty())
    }

    /// Returns where the credentials that the vendor refused were read.
    #[must_use]
    pub fn credentials_from(&self) -> Option<&str> {
        let credentials = self.0.credentials.as_deref()?;
        Some(&*credentials.places).filter(|places| !places.is_empty())
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.0.remedy.as_deref()
    }
}

/// By the codes of RFC 6749 §5.2 and RFC 8707, some of which are about the client and some about the
/// request. A 401 with neither is about the client, whatever the vendor's own code is.
fn refuses_client(vendor: &VendorError) -> bool {
    const CLIENT: [&str; 2] = ["invalid_client", "unauthorized_client"];
    const REQUEST: [&str; 5] = [
        "invalid_request",
        "invalid_grant",
        "invalid_scope",
        "invalid_target",
        "unsupported_grant_type",
    ];
    let says = |codes: &[&str]| {
        let words = [&vendor.code, &vendor.reason].into_iter().flatten();
        words
            .into_iter()
            .any(|word| codes.iter().any(|code| word.eq_ignore_ascii_case(code)))
    };
    says(&CLIENT) || (vendor.status == Some(401) && !says(&REQUEST))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            message,
            remedy,
            provider,
            vendor,
            waits,
            told,
            ..
        } = &*self.0;
        if told.is_some() {
            return write!(f, "kind of error: {}", self.kind());
        }
        if let Some(provider) = provider {
            write!(f, "{}: ", Escaped(provider))?;
        }
        if let Some(odd) = self.oddity() {
            write!(f, "{odd}, and ")?;
        }
        f.write_str(message)?;
        if let Some(vendor) = vendor {
            write!(f, ": {vendor}")?;
        }
        if let Some(remedy) = remedy {
            let is_of_all = message.contains('\n');
            write!(f, "{}{remedy}", if is_of_all { "\n" } else { "; " })?;
        }
        if let Some(places) = self.credentials_from() {
            write!(f, " (read from {places})")?;
        }
        if let Some(warning) = self.clock_warning() {
            write!(f, " ({warning})")?;
        }
        write!(f, "{waits}")
    }
}

/// For people, since `main` and `unwrap` show it: the error, and each cause on a line of its own.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.as_told();
        write!(f, "{told}")?;
        for cause in chain(told).skip(1) {
            write!(f, "\n  because: {}", Escaped(&cause.to_string()))?;
        }
        Ok(())
    }
}

/// The causes that say more than the error itself.
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let told = self.as_told();
        let first = told.whole_source()?;
        let causes = &told.0.causes;
        causes
            .get_or_init(|| Causes::of(first, told.to_string()))
            .first(first)
    }
}

#[cfg(test)]
mod tests;
