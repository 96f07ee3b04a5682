//! `biped ready`.

use std::{
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use biped::{
    Error,
    provider::{Clock as _, SystemClock},
};

use crate::{args::serve::Ready, failure::Outcome, session::Session};

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How long after an attempt the next follows.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) fn run(session: &Session, args: &Ready) -> Outcome {
    session.block_on(async {
        let end = SystemClock.now().mono.saturating_add(args.wait);
        loop {
            let why = match ask(args) {
                Ok(true) => return Ok(()),
                Ok(false) => Error::unreachable("the sidecar is not ready")
                    .with_remedy("see /-/ready for the providers without a token"),
                Err(Asking::Wrong(error)) => return Err(error.into()),
                Err(Asking::Failed(error)) => {
                    Error::unreachable(format!("the sidecar does not respond: {error}"))
                }
            };
            if SystemClock.now().mono >= end {
                return Err(why.into());
            }
            SystemClock.sleep(PAUSE).await;
        }
    })
}

enum Asking {
    Wrong(Error),
    Failed(std::io::Error),
}

impl From<std::io::Error> for Asking {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Asks once whether the sidecar is ready.
fn ask(args: &Ready) -> Result<bool, Asking> {
    if let Some(path) = &args.socket {
        #[cfg(unix)]
        {
            let stream = std::os::unix::net::UnixStream::connect(path)?;
            stream.set_read_timeout(Some(ATTEMPT))?;
            stream.set_write_timeout(Some(ATTEMPT))?;
            return Ok(exchange(stream, "localhost")?);
        }
        #[cfg(not(unix))]
        {
            let what = format!("{}: this platform has no Unix sockets", path.display());
            return Err(Asking::Wrong(Error::configuration(what)));
        }
    }
    let rest = args.url.strip_prefix("http://").ok_or_else(|| {
        let error = Error::configuration("--url: expected http://ADDRESS:PORT");
        let remedy = "give the address of probe_listen, which has no TLS, or use --socket";
        Asking::Wrong(match args.url.starts_with("https://") {
            true => error.with_remedy(remedy),
            false => error,
        })
    })?;
    let host = rest.split('/').next().unwrap_or(rest);
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let mut failed = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, ATTEMPT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(ATTEMPT))?;
                stream.set_write_timeout(Some(ATTEMPT))?;
                return Ok(exchange(stream, host)?);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed.into())
}

fn exchange(mut stream: impl std::io::Read + std::io::Write, host: &str) -> std::io::Result<bool> {
    let head = format!("GET /-/ready HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"HTTP/1.1 200")
}
