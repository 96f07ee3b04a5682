//! [`Failure`]: why an API gave no response, and whether it may have acted on the request.

use std::{error::Error as StdError, fmt, io};

use biped::Error;
use http::StatusCode;
use hyper_util::client::legacy::Error as ClientError;

use super::{
    proxy::ProxyFailed,
    tcp::{BoxError, IsLoop, NoAddress, TooSlow},
};
use crate::{body::Interrupted, problem::Problem};

/// Why an API gave no response.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No client could be made.
    Unusable(Error),
    /// Sending failed.
    Send(SendError),
    /// No response in time.
    Silent,
    /// The head of the response is too large.
    LargeHead,
}

/// Why sending failed.
#[derive(Debug)]
pub(crate) enum SendError {
    /// There is no connection.
    Connect(BoxError),
    /// The connection did not serve.
    Sent(hyper::Error),
    /// One or the other.
    Client(ClientError),
}

impl SendError {
    fn is_connect(&self) -> bool {
        match self {
            Self::Connect(_) => true,
            Self::Sent(_) => false,
            Self::Client(error) => error.is_connect(),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request can't be sent")
    }
}

impl StdError for SendError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(match self {
            Self::Connect(error) => &**error,
            Self::Sent(error) => error,
            Self::Client(error) => error,
        })
    }
}

impl Failure {
    /// The problem that the caller is told.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Unusable(error) => Problem::of_token(error, false),
            Self::Silent => Problem::new(
                "silent",
                "the API does not respond in time; see response_timeout in [serve]",
            )
            .sent(),
            Self::LargeHead => bad_answer(),
            Self::Send(error) => of_send(error),
        }
    }
}

fn of_send(error: &SendError) -> Problem {
    if has::<IsLoop>(error).is_some() {
        return Problem::new(
            "loop",
            "the API's address is one of this sidecar's listeners; correct api_base_url",
        );
    }
    if let Some(failed) = has::<ProxyFailed>(error) {
        let what = match failed {
            ProxyFailed::Unauthenticated => {
                "the proxy of [http] refuses the sidecar; correct the user name and the password in its URL"
            }
            ProxyFailed::Unreachable => {
                "there is no connection to the API through the proxy of [http]; check the proxy"
            }
        };
        return Problem::new("unreachable", what).error("connection_refused");
    }
    if error.is_connect() {
        return no_connection(error);
    }
    if let Some(interrupted) = has::<Interrupted>(error) {
        return interrupted.problem();
    }
    let hyper = has::<hyper::Error>(error);
    if hyper.is_some_and(hyper::Error::is_canceled) {
        let what =
            "the connection to the API ended before the request was sent; send the request again";
        return Problem::new("unreachable", what).error("connection_terminated");
    }
    if hyper.is_some_and(|error| error.is_parse() || error.is_parse_too_large()) {
        return bad_answer();
    }
    Problem::new(
        "cut-off",
        "the API ended the connection before its response started; it may have acted on the request",
    )
    .sent()
}

fn bad_answer() -> Problem {
    let what = "the API's response is not valid HTTP, or its head is too large; check the scheme and the \
                port of api_base_url";
    Problem::new("bad-answer", what).sent()
}

fn no_connection(error: &SendError) -> Problem {
    let (what, said) = if has::<NoAddress>(error).is_some() {
        (
            "the API's name can't be resolved; check api_base_url and this machine's DNS",
            "dns_error",
        )
    } else if has::<TooSlow>(error).is_some() {
        return too_slow();
    } else if let Some(tls) = has::<rustls::Error>(error) {
        match tls {
            rustls::Error::InvalidCertificate(_) => (
                "the API's certificate is not valid for its name, or is not trusted; check api_base_url, \
                 and add a private CA to http.extra_ca",
                "tls_certificate_error",
            ),
            rustls::Error::AlertReceived(_) => (
                "the API refuses the TLS handshake; check api_base_url, and whether the API requires a \
                 client certificate",
                "tls_alert_received",
            ),
            _ => (
                "the TLS handshake with the API fails; check that api_base_url speaks TLS",
                "tls_protocol_error",
            ),
        }
    } else {
        match has::<io::Error>(error).map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => (
                "the API refuses connections; check the port in api_base_url, and that the API runs",
                "connection_refused",
            ),
            Some(io::ErrorKind::TimedOut) => return too_slow(),
            Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => (
                "the API's network is unreachable; check the network of this machine",
                "destination_ip_unroutable",
            ),
            _ => (
                "there is no connection to the API; check api_base_url and the network",
                "connection_terminated",
            ),
        }
    };
    Problem::new("unreachable", what).error(said)
}

fn too_slow() -> Problem {
    let what =
        "connecting to the API took too long; check the network, or raise http.connect_timeout";
    Problem::new("unreachable", what)
        .status(StatusCode::GATEWAY_TIMEOUT)
        .error("connection_timeout")
}

/// Whether an attempt may be repeated on another connection: the connection ended without a byte of a
/// response.
pub(crate) fn is_dead_connection(error: &SendError) -> bool {
    if error.is_connect() || has::<Interrupted>(error).is_some() {
        return false;
    }
    has::<hyper::Error>(error).is_some_and(|hyper| {
        hyper.is_incomplete_message()
            || hyper.is_closed()
            || has::<io::Error>(error).is_some_and(|io| {
                matches!(
                    io.kind(),
                    io::ErrorKind::ConnectionReset
                        | io::ErrorKind::BrokenPipe
                        | io::ErrorKind::ConnectionAborted
                )
            })
    })
}

/// The first error of a type among an error and its causes.
fn has<'e, T: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // An io::Error hides the error it was made of from source().
        if let Some(inner) = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            && let Some(found) = has::<T>(inner)
        {
            return Some(found);
        }
        next = error.source();
    }
    None
}
