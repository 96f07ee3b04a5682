//! [`Address`]: the URL of a database, checked, and the servers that it names.

use biped_core::{Error, ExposeSecret, SecretString};
use tokio_postgres::{
    Config,
    config::{ChannelBinding, Host, SslMode},
};

use crate::tls::Tls;

const FORM: &str = "use postgres://user:password@host:5432/database?sslmode=verify-full; escape \
                    special characters of the password (%40 for @)";

/// A database, on one server or several.
pub(crate) struct Address {
    /// A way to each server, in the order of the URL.
    pub(crate) servers: Vec<Config>,
    pub(crate) tls: Tls,
    /// The servers and the database, without user and password.
    pub(crate) shown: String,
}

impl Address {
    /// The address in a URL. `pem` holds certificates of the authorities that may vouch for the server,
    /// instead of the platform's.
    pub(crate) fn new(url: &SecretString, pem: Option<&[u8]>) -> Result<Self, Error> {
        let refused = |why: &str, remedy: &str| {
            Error::configuration(format!("the URL of the PostgreSQL server {why}"))
                .with_remedy(remedy.to_owned())
        };
        let url = url.expose_secret();
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(refused("does not begin with postgres://", FORM));
        }
        let (url, mode) = without_mode(url);
        let mode = match mode.as_deref() {
            Some("disable") => SslMode::Disable,
            None | Some("allow" | "prefer") => SslMode::Prefer,
            Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
            Some(_) => {
                let remedy = "use one of disable, prefer, require, verify-ca, verify-full";
                return Err(refused("has an unknown sslmode", remedy));
            }
        };
        if mode != SslMode::Require && pem.is_some() {
            let remedy = "set sslmode=verify-full in the URL, or remove the certificates";
            let why = "does not require TLS, but certificates are set";
            return Err(refused(why, remedy));
        }
        let parsed: Config = url.parse().map_err(|error| {
            let (why, remedy) = unreadable(&error);
            refused(why, remedy)
        })?;
        if parsed.get_hosts().is_empty() {
            return Err(refused("has no host", FORM));
        }
        let count = parsed.get_ports().len();
        if count > 1 && count != parsed.get_hosts().len() {
            return Err(refused("has another number of ports than of hosts", FORM));
        }
        let binds = parsed.get_channel_binding() == ChannelBinding::Require;
        if binds && mode == SslMode::Disable {
            let remedy = "set sslmode=verify-full, or remove channel_binding";
            return Err(refused("requires channel_binding without TLS", remedy));
        }
        let tls = Tls::new(pem, binds).map_err(|why| {
            Error::configuration(format!(
                "the PostgreSQL server can't be used with TLS: {why}"
            ))
        })?;
        Ok(Self {
            servers: each(&parsed, mode),
            tls,
            shown: shown(&parsed),
        })
    }
}

/// Takes `sslmode` from a URL: the driver knows only three of libpq's modes.
fn without_mode(url: &str) -> (String, Option<String>) {
    let Some((place, query)) = url.split_once('?') else {
        return (url.to_owned(), None);
    };
    let (mut mode, mut rest) = (None, Vec::new());
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value.to_owned()),
            // Only the primary accepts writes.
            Some(("target_session_attrs", "primary")) => {
                rest.push("target_session_attrs=read-write");
            }
            _ if pair.is_empty() => {}
            _ => rest.push(pair),
        }
    }
    let mut url = place.to_owned();
    if !rest.is_empty() {
        url.push('?');
        url.push_str(&rest.join("&"));
    }
    (url, mode)
}

/// Says what can't be read, and what to do. The error may hold a part of the URL, so only the options that the driver
/// knows by name are shown.
fn unreadable(error: &tokio_postgres::Error) -> (&'static str, &'static str) {
    let words = std::error::Error::source(error).map(ToString::to_string);
    let words = words.unwrap_or_default();
    if words.contains("`port`") {
        ("has a port that is not a number", FORM)
    } else if words.contains("`target_session_attrs`") {
        (
            "has a target_session_attrs that is none of any, read-write, primary",
            "use target_session_attrs=read-write",
        )
    } else if words.contains("unknown option") {
        (
            "has an option that is not supported",
            "remove it; the authorities that vouch for the server are named by ca, instead of sslrootcert",
        )
    } else {
        ("can't be read", FORM)
    }
}

/// One configuration for each server, so that a server that hangs can be passed over.
fn each(parsed: &Config, mode: SslMode) -> Vec<Config> {
    let hosts = parsed.get_hosts().iter().enumerate();
    hosts
        .map(|(at, host)| {
            let mut one = Config::new();
            match host {
                Host::Tcp(name) => one.host(name),
                #[cfg(unix)]
                Host::Unix(path) => one.host_path(path),
            };
            if let Some(address) = parsed.get_hostaddrs().get(at) {
                one.hostaddr(*address);
            }
            one.port(port(parsed, at));
            if let Some(user) = parsed.get_user() {
                one.user(user);
            }
            if let Some(password) = parsed.get_password() {
                one.password(password);
            }
            if let Some(name) = parsed.get_dbname() {
                one.dbname(name);
            }
            if let Some(options) = parsed.get_options() {
                one.options(options);
            }
            one.application_name(parsed.get_application_name().unwrap_or("biped"));
            one.ssl_mode(mode);
            one.ssl_negotiation(parsed.get_ssl_negotiation());
            one.channel_binding(parsed.get_channel_binding());
            one.target_session_attrs(parsed.get_target_session_attrs());
            one.keepalives(parsed.get_keepalives());
            one
        })
        .collect()
}

fn port(parsed: &Config, at: usize) -> u16 {
    let ports = parsed.get_ports();
    let port = ports.get(at).or_else(|| ports.first());
    port.copied().unwrap_or(5432)
}

/// The servers, without user and password.
pub(crate) fn shown(parsed: &Config) -> String {
    let hosts = parsed.get_hosts().iter().enumerate();
    let hosts: Vec<_> = hosts
        .map(|(at, host)| match host {
            Host::Tcp(name) => format!("{}:{}", name.escape_debug(), port(parsed, at)),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        })
        .collect();
    hosts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_can_not_be_bound_to_tls_where_there_is_none() {
        let at = |mode: &str| {
            let url = format!("postgres://me:hunter2@host/?channel_binding=require&sslmode={mode}");
            Address::new(&url.into(), None).map(drop)
        };
        let error = at("disable").unwrap_err().to_string();
        assert!(error.contains("channel_binding"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        at("require").unwrap();
    }
}
