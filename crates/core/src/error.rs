//! [`Error`]: what went wrong, who can fix it, and how. [`StoreError`]: what a store reports.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use biped_redact::{Escaped, one_line, vendor_text, whole_vendor_text};

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
    retry_after: Option<Duration>,
    vendor: Option<VendorError>,
    token_source: Option<Arc<str>>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What kind of failure an [`Error`] is.
///
/// | kind | when | transient | exit status of the command |
/// | --- | --- | --- | --- |
/// | `Configuration` | a setting or a request breaks a rule; no secret was sent | no | 2 |
/// | `Secret` | a secret could not be read; nothing was sent | only if a file is missing, empty or on a file system that does not respond, or if a command failed | 2 |
/// | `Refused` | the vendor refused | no | 3 |
/// | `Unreachable` | no connection, a TLS failure, a timeout, a truncated body | yes | 4 |
/// | `Unavailable` | 408, 425, 429 or 5xx | yes | 4 |
/// | `InvalidResponse` | a 2xx that is neither a token nor an error | only if the body is empty | 4 |
/// | `Store` | the token store failed | yes | 4 |
/// | `Internal` | a bug, in a provider or in Biped | no | 1 |
///
/// A response without a known error code is classified by its status. 408, 425, 429 and every 5xx are
/// `Unavailable`. Every other 4xx is `Refused`: 401 refuses the client's credentials, the others
/// refuse this request. A 3xx is `InvalidResponse`, since redirects are never followed on token
/// requests. A 2xx that names an error is `Refused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting or a request breaks a rule. Nothing was sent, except perhaps a request without a
    /// secret, such as for a server's metadata.
    Configuration,
    /// A secret could not be read. Nothing was sent.
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
    /// The kind's name in lower case, as in logs, metrics and the command's JSON.
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
/// The texts are kept whole until the fetch ends, so that every secret in them is found. Then the
/// `TokenManager` redacts them, cuts each to 1 KiB and escapes control characters.
/// [`Display`](fmt::Display) always cuts and escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct VendorError {
    /// The HTTP status of the response.
    pub status: Option<u16>,
    /// The error code: `invalid_client`, `401021`, `JWT_EXPIRED`.
    pub code: Option<String>,
    /// A second code, if the vendor has one.
    pub reason: Option<String>,
    /// The message for people.
    pub message: Option<String>,
    /// The address of the vendor's explanation (`error_uri`).
    pub uri: Option<String>,
}

impl VendorError {
    /// An error response with this HTTP status, and no texts yet.
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

    /// Sets the message for people.
    #[must_use]
    pub fn message(mut self, message: impl AsRef<str>) -> Self {
        self.message = whole_vendor_text(message.as_ref());
        self
    }

    /// Sets the address of the vendor's explanation.
    #[must_use]
    pub fn uri(mut self, uri: impl AsRef<str>) -> Self {
        self.uri = whole_vendor_text(uri.as_ref());
        self
    }

    /// The same error with its texts cut and escaped. Texts that were read from a store are neither.
    #[must_use]
    pub fn cut_and_escaped(self) -> Self {
        self.map_words(str::to_owned)
    }

    /// The same error with other texts, cut and escaped.
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

    /// Whether the vendor gave a code, a reason or a message.
    #[must_use]
    pub fn has_words(&self) -> bool {
        self.code.is_some() || self.reason.is_some() || self.message.is_some()
    }

    /// Whether the code or the reason is `code`.
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
        let client = refuses_client(&vendor);
        let mut error = Self::new(ErrorKind::Refused, false, "the vendor refused the request");
        error.inner().refuses_client = client;
        if client {
            error.inner().message = "the vendor refused the client's credentials".into();
            error.inner().remedy = Some("check client_id and client_secret".into());
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
            retry_after: None,
            vendor: None,
            token_source: None,
            source: None,
        }))
    }

    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
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
        self.inner().retry_after = retry_after;
        self
    }

    /// Adds the name of the provider that failed.
    #[must_use]
    pub fn with_provider(mut self, name: impl Into<Arc<str>>) -> Self {
        self.inner().provider = Some(name.into());
        self
    }

    /// Adds the place that failed instead of the vendor: the source of a token that another party
    /// makes, such as `github` or `provider:workload`. Nothing was sent to the vendor.
    #[must_use]
    pub fn with_token_source(mut self, name: impl Into<Arc<str>>) -> Self {
        self.inner().token_source = Some(name.into());
        self
    }

    /// Adds the underlying error. It must not contain a secret either: `source()` shows it.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.inner().source = Some(Arc::from(source.into()));
        self
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
        self.inner().refuses_client = client;
        self
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same request may succeed later although nothing is changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.0.transient
    }

    /// Whether the vendor refused the client itself (`invalid_client`, `unauthorized_client`, or a 401
    /// that does not blame the request), so that every other request of this client would fail too.
    #[must_use]
    pub fn refuses_client(&self) -> bool {
        self.0.refuses_client
    }

    /// How long to wait before the next attempt, if the vendor or the token manager says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The vendor's own words, if it answered.
    #[must_use]
    pub fn vendor(&self) -> Option<&VendorError> {
        self.0.vendor.as_ref()
    }

    /// The name of the provider that failed.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// The source of a token that another party makes, if that failed and not the vendor: `github`,
    /// `file:/run/t`, `provider:workload`.
    #[must_use]
    pub fn token_source(&self) -> Option<&str> {
        self.0.token_source.as_deref()
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

/// A token store does not work. The call continues without it.
#[derive(Clone, Debug)]
pub struct StoreError(Cow<'static, str>);

impl StoreError {
    /// The message says what failed and must not contain a secret; redact a store's URL, which may.
    /// Control characters are escaped.
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
