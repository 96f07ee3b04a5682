//! Converting reqwest's errors to Biped's, without URLs.

use std::{
    error::Error as StdError,
    io::{self, ErrorKind},
};

use biped_core::{Error, is_loopback, wire};
use rustls::PeerIncompatible;
use url::Url;

use crate::HttpSettings;

/// How many names of a certificate an error lists.
const NAMES_SHOWN: usize = 3;

/// The server of a request, for errors: its host, and its port unless it is the default.
pub(crate) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or("the server");
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.into(),
    }
}

/// The error of a token request without a complete response.
pub(crate) fn unreachable(url: &Url, error: reqwest::Error, settings: &HttpSettings) -> Error {
    explain(url, &place(url), &error, settings).with_source_if_clean(error)
}

fn explain(url: &Url, place: &str, error: &reqwest::Error, settings: &HttpSettings) -> Error {
    let seconds = settings.connect_timeout.as_secs_f64();
    if let Some(error) = no_connection(url, place, error, &format!("within {seconds} s")) {
        return error;
    }
    if error.is_timeout() {
        let seconds = settings.timeout.as_secs_f64();
        return Error::unreachable(format!(
            "{place} sends no complete response within {seconds} s"
        ));
    }
    if error.is_body() || error.is_decode() {
        return Error::unreachable(format!("the response of {place} was cut off"));
    }
    Error::unreachable(format!(
        "the connection to {place} closed before a response arrived"
    ))
}

/// Returns why a call has no connection to its API, and what to do. The error names the host and shows
/// nothing else of the URL. Returns `None` if there was a connection, or if the error has lost its URL.
///
/// ```
/// # async fn example(client: biped_reqwest::ApiClient) -> Result<(), Box<dyn std::error::Error>> {
/// use biped_reqwest::{connection_error, reqwest_middleware::Error};
///
/// match client.get("/v1/orders").send().await {
///     Err(Error::Reqwest(error)) => match connection_error(&error) {
///         Some(error) => eprintln!("{error}"), // shop.example refuses the connection; check the URL, …
///         None => return Err(error.into()),
///     },
///     response => println!("{}", response?.status()),
/// }
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn connection_error(error: &reqwest::Error) -> Option<Error> {
    let url = error.url()?;
    no_connection(url, &place(url), error, "in time")
}

fn no_connection(url: &Url, place: &str, error: &reqwest::Error, within: &str) -> Option<Error> {
    if error.is_dns() {
        let error = Error::unreachable(format!("the host {place} can't be resolved"));
        return Some(error.with_remedy("check the URL, and this machine's DNS"));
    }
    if let Some(tls) = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        return Some(tls_failure(url, place, tls));
    }
    if !error.is_connect() {
        return None;
    }
    Some(match error.is_timeout() {
        true => Error::unreachable(format!("{place} accepts no connection {within}"))
            .with_remedy("check the network, the firewall and the proxy"),
        false => connect_failure(place, error),
    })
}

fn tls_failure(url: &Url, place: &str, error: &rustls::Error) -> Error {
    use rustls::{AlertDescription as Alert, CertificateError as Certificate, Error as Tls};
    match error {
        Tls::InvalidCertificate(Certificate::UnknownIssuer) => Error::unreachable(format!(
            "the certificate of {place} is from a CA that is not trusted"
        ))
        .with_remedy("add a private CA to extra_ca"),
        Tls::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            Error::unreachable(format!("the certificate of {place} has expired"))
                .with_remedy("have the server's certificate renewed, or check this machine's clock")
        }
        Tls::InvalidCertificate(
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. },
        ) => Error::unreachable(format!("the certificate of {place} is not valid yet"))
            .with_remedy("check this machine's clock"),
        Tls::InvalidCertificate(Certificate::NotValidForNameContext { presented, .. })
            if !presented.is_empty() =>
        {
            let named: Vec<&str> = presented
                .iter()
                .take(NAMES_SHOWN)
                .map(String::as_str)
                .collect();
            Error::unreachable(format!(
                "the certificate of {place} is for another host: {}",
                shown(&named.join(", "))
            ))
            .with_remedy("check the host in the URL")
        }
        Tls::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => Error::unreachable(format!("the certificate of {place} is for another host"))
            .with_remedy("check the host in the URL"),
        Tls::InvalidCertificate(reason) => Error::unreachable(format!(
            "the certificate of {place} is not valid: {}",
            shown(&reason.to_string())
        )),
        Tls::AlertReceived(Alert::ProtocolVersion)
        | Tls::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => Error::unreachable(format!("{place} speaks neither TLS 1.2 nor TLS 1.3"))
            .with_remedy("have the server's TLS updated"),
        Tls::AlertReceived(alert) => {
            Error::unreachable(format!("{place} refused the TLS handshake: {alert:?}"))
                .with_remedy("if the server requires a client certificate, configure one")
        }
        // Typical for a server without TLS, or a proxy's page in clear text.
        Tls::InvalidMessage(_) => Error::unreachable(format!("{place} does not speak TLS"))
            .with_remedy(if is_loopback(url) {
                "if it is a server without TLS, write http:// in the URL, which is allowed to this \
                 machine; else check the port"
            } else {
                "check the URL, its port and the proxy"
            }),
        other => Error::unreachable(format!(
            "TLS with {place} failed: {}",
            shown(&other.to_string())
        )),
    }
}

/// Text that a server influences, on one line and cut.
fn shown(text: &str) -> String {
    wire::vendor_text(text).unwrap_or_default()
}

fn connect_failure(place: &str, error: &reqwest::Error) -> Error {
    // hyper-util's type for it is private.
    if causes(error).any(|cause| cause.to_string().starts_with("tunnel error")) {
        return Error::unreachable(format!("the proxy does not connect to {place}"))
            .with_remedy("check the proxy's address and credentials");
    }
    let kind = causes(error)
        .find_map(|cause| cause.downcast_ref::<io::Error>())
        .map(io::Error::kind);
    match kind {
        Some(ErrorKind::ConnectionRefused) => {
            Error::unreachable(format!("{place} refuses the connection"))
                .with_remedy("check the URL, its port and the proxy")
        }
        Some(ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable) => {
            Error::unreachable(format!("the network has no route to {place}"))
                .with_remedy("check the network")
        }
        _ => Error::unreachable(format!("the connection to {place} failed"))
            .with_remedy("check the network and the proxy"),
    }
}

/// The error and all its causes, including the one that an [`io::Error`] hides from
/// [`source`](StdError::source).
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        wrapped
            .map(|inner| inner as &(dyn StdError + 'static))
            .or_else(|| error.source())
    })
}

trait WithSource {
    fn with_source_if_clean(self, error: reqwest::Error) -> Self;
}

impl WithSource for Error {
    /// Keeps the cause without its URL. A cause with another URL inside is dropped.
    fn with_source_if_clean(self, error: reqwest::Error) -> Self {
        let error = error.without_url();
        let clean = causes(&error)
            .filter_map(|cause| cause.downcast_ref::<reqwest::Error>())
            .all(|cause| cause.url().is_none());
        if clean { self.with_source(error) } else { self }
    }
}

/// Cuts the URL of an error to its origin: the rest may contain a token.
pub(crate) fn with_origin(error: reqwest_middleware::Error) -> reqwest_middleware::Error {
    let origin = error.url().map(|url| url.origin().ascii_serialization());
    match origin.and_then(|origin| Url::parse(&origin).ok()) {
        Some(origin) => error.with_url(origin),
        None => error.without_url(),
    }
}

/// Wraps Biped's error so that [`token_error`](crate::token_error) finds it. It is its own cause as
/// well, because transparent wrappers, such as those of retries, show only the cause. As a cause it
/// tells its kind only, so that a chain does not tell it twice.
pub(crate) fn failed(error: Error) -> reqwest_middleware::Error {
    match reqwest_middleware::Error::middleware(error.as_cause()) {
        reqwest_middleware::Error::Middleware(cause) => {
            reqwest_middleware::Error::Middleware(cause.context(error))
        }
        other => other,
    }
}

/// The error for a client that can't be built from its settings.
pub(crate) fn client(error: reqwest::Error) -> Error {
    let tls = causes(&error).find_map(|cause| cause.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::InconsistentKeys(_)) = tls {
        return Error::configuration("the client certificate does not match its key")
            .with_remedy("set certificate and certificate_key to a matching pair");
    }
    Error::configuration("the HTTP client can't be built from its settings")
        .with_remedy("check extra_ca, the client certificate, and this machine's CA certificates")
        .with_source_if_clean(error)
}
