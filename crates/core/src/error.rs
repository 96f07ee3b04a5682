//! [`Error`]: what went wrong, whose fault it is, and what to do.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use biped_redact::{Escaped, one_line, vendor_text, whole_vendor_text};

/// Why there is no token, in one opaque value that is cheap to clone: a failed fetch hands the
/// same error to everybody who waited for it.
///
/// Its [`Display`](fmt::Display) is one line that says what failed and what to do. It never holds
/// a secret, a token or a response body.
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
    retry_after: Option<Duration>,
    vendor: Option<VendorError>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What sort of failure an [`Error`] is.
///
/// | kind | when | transient | exit status of the command |
/// | --- | --- | --- | --- |
/// | `Configuration` | a setting or a request breaks a rule; no secret was sent | no | 2 |
/// | `Secret` | a secret could not be read; nothing was sent | only a file that is missing, empty or on a file system that does not respond, or a command that failed | 2 |
/// | `Refused` | the vendor answered, and said no | no | 3 |
/// | `Unreachable` | no connection, TLS, a timeout, a body cut off | yes | 4 |
/// | `Unavailable` | 408, 425, 429 or 5xx | yes | 4 |
/// | `InvalidResponse` | a 2xx that is neither a token nor an error | only an empty body | 4 |
/// | `Store` | the token store failed | yes | 4 |
/// | `Internal` | a bug, in a provider or here | no | 1 |
///
/// An answer without an error code that anybody knows is classified by its status alone: 400, 401,
/// 403, 404 and every other 4xx are `Refused` (401 as a refusal of the client's credentials, the
/// others as a refusal of this request), except 408, 425 and 429, which are `Unavailable` like every
/// 5xx. A 3xx is `InvalidResponse`: redirects are never followed on token requests. An answer that names
/// an error is `Refused` in a 2xx too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting or a request breaks a rule; nothing was sent, or at most a question without a secret
    /// (a server's metadata).
    Configuration,
    /// A secret could not be read; nothing was sent.
    Secret,
    /// The vendor answered, and said no.
    Refused,
    /// No connection, TLS, a timeout, or a body cut off.
    Unreachable,
    /// The vendor answered 408, 425, 429 or 5xx.
    Unavailable,
    /// The vendor answered a 2xx that is neither a token nor an error.
    InvalidResponse,
    /// The token store failed.
    Store,
    /// A bug, in a provider or in Biped.
    Internal,
}

impl ErrorKind {
    /// The kind's name in lower case, as it stands in logs, metrics and the command's JSON.
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

/// A refusal in the vendor's own words (RFC 6749 §5.2, or the vendor's form of it).
///
/// What is set is kept whole until the fetch ends, so that secrets are found in all of it: then the
/// `TokenManager` redacts them, cuts each text to 1 KiB and escapes its
/// control characters. [`Display`](fmt::Display) always cuts and escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct VendorError {
    /// The HTTP status of the answer.
    pub status: Option<u16>,
    /// The error code: `invalid_client`, `401021`, `JWT_EXPIRED`.
    pub code: Option<String>,
    /// A second code, where the vendor has one beside the first.
    pub reason: Option<String>,
    /// The sentence for people.
    pub message: Option<String>,
    /// Where the vendor explains the error (`error_uri`).
    pub uri: Option<String>,
}

impl VendorError {
    /// An error answer with this HTTP status, and no words yet.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self {
            status: Some(status),
            ..Self::default()
        }
    }

    /// Sets the error code.
    #[must_use]
    pub fn code(mut self, code: impl AsRef<str>) -> Self {
        self.code = whole_vendor_text(code.as_ref());
        self
    }

    /// Sets the second code.
    #[must_use]
    pub fn reason(mut self, reason: impl AsRef<str>) -> Self {
        self.reason = whole_vendor_text(reason.as_ref());
        self
    }

    /// Sets the sentence for people.
    #[must_use]
    pub fn message(mut self, message: impl AsRef<str>) -> Self {
        self.message = whole_vendor_text(message.as_ref());
        self
    }

    /// Sets the address of an explanation.
    #[must_use]
    pub fn uri(mut self, uri: impl AsRef<str>) -> Self {
        self.uri = whole_vendor_text(uri.as_ref());
        self
    }

    /// The same, with its texts cut and escaped: what was read from a store is as it came.
    #[must_use]
    pub fn cut_and_escaped(self) -> Self {
        self.map_words(str::to_owned)
    }

    /// The same with other words, cut and escaped.
    fn map_words(self, change: impl Fn(&str) -> String) -> Self {
        let change = |text: Option<String>| vendor_text(&change(&text?));
        Self {
            status: self.status,
            code: change(self.code),
            reason: change(self.reason),
            message: change(self.message),
            uri: change(self.uri),
        }
    }

    /// Whether the vendor said anything beyond the status.
    #[must_use]
    pub fn has_words(&self) -> bool {
        self.code.is_some() || self.reason.is_some() || self.message.is_some()
    }

    /// Whether the code or the reason is this one.
    #[must_use]
    pub fn names(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code) || self.reason.as_deref() == Some(code)
    }
}

impl fmt::Display for VendorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(status) = self.status {
            write!(f, "HTTP {status}")?;
            separator = " ";
        }
        let shown = |text: &Option<String>| vendor_text(text.as_deref()?);
        for word in [&self.code, &self.reason].into_iter().filter_map(shown) {
            write!(f, "{separator}{word}")?;
            separator = " ";
        }
        if let Some(message) = shown(&self.message) {
            write!(f, "{separator}\"{message}\"")?;
        }
        Ok(())
    }
}

impl Error {
    /// A setting or a request that breaks a rule. The text says which, and what was expected.
    pub fn configuration(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Configuration, false, message)
    }

    /// Several settings that break a rule, a line each. It is the only error whose message has more
    /// than one line.
    pub fn configuration_lines(lines: impl IntoIterator<Item = impl fmt::Display>) -> Self {
        let lines: Vec<_> = lines
            .into_iter()
            .map(|line| Escaped(&line.to_string()).to_string())
            .collect();
        let mut error = Self::configuration("");
        error.inner().message = lines.join("\n").into();
        error
    }

    /// A secret that could not be read.
    pub fn secret(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Secret, false, message)
    }

    /// A refusal by the vendor. Whether it refuses the client or only this request is told by the
    /// code ([`refuses_client`](Self::refuses_client)).
    pub fn refused(vendor: VendorError) -> Self {
        let client = refuses_client(&vendor);
        let mut error = Self::new(ErrorKind::Refused, false, "the vendor refused the request");
        error.inner().refuses_client = client;
        if client {
            error.inner().message = "the vendor refused the client's credentials".into();
            error.inner().remedy = Some("check client_id and client_secret".into());
        } else if vendor.status == Some(404) {
            error.inner().remedy =
                Some("there is no token endpoint at this address; check the URL".into());
        }
        error.with_vendor(vendor)
    }

    /// No connection, TLS, a timeout, or a body cut off.
    pub fn unreachable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Unreachable, true, message)
    }

    /// The vendor answered that it can't at the moment: 408, 425, 429 or 5xx.
    pub fn unavailable(vendor: VendorError) -> Self {
        Self::new(
            ErrorKind::Unavailable,
            true,
            "the vendor is temporarily unavailable",
        )
        .with_vendor(vendor)
    }

    /// A 2xx that is neither a token nor an error. The text says what was missing, never what was
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
            retry_after: None,
            vendor: None,
            source: None,
        }))
    }

    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }

    /// Says what failed in other words, on one line: control characters are escaped.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.inner().message = one_line(message.into());
        self
    }

    /// Says what to do about it, as the end of the line.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<Cow<'static, str>>) -> Self {
        self.inner().remedy = Some(one_line(remedy.into()));
        self
    }

    /// Adds the vendor's words.
    #[must_use]
    pub fn with_vendor(mut self, vendor: VendorError) -> Self {
        self.inner().vendor = Some(vendor);
        self
    }

    /// Adds how long the vendor asked to be left alone (`Retry-After`).
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.inner().retry_after = retry_after;
        self
    }

    /// Adds the name of the provider that it happened to.
    #[must_use]
    pub fn with_provider(mut self, name: impl Into<Arc<str>>) -> Self {
        self.inner().provider = Some(name.into());
        self
    }

    /// Adds the error underneath. It must hold no secret either: `source()` shows it.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.inner().source = Some(Arc::from(source.into()));
        self
    }

    /// The same error with other words: Biped's own, which keep their lines, and the vendor's, which
    /// are cut and escaped after that.
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

    /// Says whether the same request may succeed later, where the kind's default is wrong.
    #[must_use]
    pub fn transient(mut self, transient: bool) -> Self {
        self.inner().transient = transient;
        self
    }

    /// Says that a refusal is of the client's credentials (all its tokens), or of this request only,
    /// where the vendor's codes don't tell in the standard's words.
    #[must_use]
    pub fn refusing_client(mut self, client: bool) -> Self {
        self.inner().refuses_client = client;
        self
    }

    /// What sort of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.0.transient
    }

    /// Whether the vendor refused the client itself (`invalid_client`, `unauthorized_client`, or a
    /// 401 that names no fault of the request), so that no other request of this client will fare
    /// better.
    #[must_use]
    pub fn refuses_client(&self) -> bool {
        self.0.refuses_client
    }

    /// How long to wait before asking again, where the vendor or the token manager says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The vendor's own words, where it answered.
    #[must_use]
    pub fn vendor(&self) -> Option<&VendorError> {
        self.0.vendor.as_ref()
    }

    /// The name of the provider that it happened to.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// What failed, without the provider, the vendor's words and the remedy.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.0.remedy.as_deref()
    }
}

/// RFC 6749 §5.2 (and RFC 8707): the codes that are about the client, and those that are about the
/// request. A 401 with neither is about the client, whatever the vendor's own code for it.
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
            retry_after,
            ..
        } = &*self.0;
        if let Some(provider) = provider {
            write!(f, "{}: ", Escaped(provider))?;
        }
        f.write_str(message)?;
        if let Some(vendor) = vendor {
            write!(f, ": {vendor}")?;
        }
        if let Some(remedy) = remedy {
            write!(f, "; {remedy}")?;
        }
        if let Some(wait) = retry_after {
            write!(f, " (next attempt in {} s)", wait.as_secs_f64().ceil())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &format_args!("{self}"))
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// A store that doesn't do what it should. The call goes on without it.
#[derive(Clone, Debug)]
pub struct StoreError(Cow<'static, str>);

impl StoreError {
    /// The text says what failed, and holds no secret (a store's URL may: redact it). Its control
    /// characters are escaped.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self(one_line(message.into()))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::store(error.0.clone()).with_source(error)
    }
}
