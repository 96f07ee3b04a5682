//! [`why`]: why a command failed, in words that say what to do.

use redis::{ErrorKind, RedisError};

/// What may be wrong with a server that has never answered.
pub(crate) const NEVER_ANSWERED: &str = "there is no connection yet; if it stays so, check the host and the \
                                         port, and that rediss:// is used exactly where the port has TLS";

/// What may be wrong with a server that ends connections without an answer.
pub(crate) const HANGS_UP: &str = "ends the connection without an answer: it may not be a Redis server; check the host \
                                   and the port, and that rediss:// is used exactly where the port has TLS";

/// How much of a message of the system or of TLS is shown.
const WORDS: usize = 200;

/// Says why a command failed. A server may repeat what was sent, so only the code of its response is
/// shown.
pub(crate) fn why(error: &RedisError) -> String {
    if let Some(code) = error.code().filter(|code| is_code(code)) {
        return match meaning(code) {
            Some(meaning) => format!("responds with {code}: {meaning}"),
            None => format!("responds with {code}: {}", said(error)),
        };
    }
    match error.kind() {
        ErrorKind::Io => {
            let words: String = error.to_string().chars().take(WORDS).collect();
            let what_to_do = if words.contains("UnknownIssuer") {
                "; set ca to the certificate of the authority that signed the server's"
            } else {
                ""
            };
            format!("can't be reached: {}{what_to_do}", words.escape_debug())
        }
        ErrorKind::AuthenticationFailed => {
            "refuses the user or the password: correct url, or for sentinels sentinel_user and \
             sentinel_password"
                .into()
        }
        ErrorKind::MasterNameNotFoundBySentinel => {
            "can't be used: the sentinels know no primary with this name; correct sentinel".into()
        }
        ErrorKind::ClusterConnectionNotFound => {
            "can't be used as a cluster: no node of the cluster answers, or they have no slots, or refuse the \
             user or the password of the URLs"
                .into()
        }
        ErrorKind::InvalidClientConfig if error.to_string().contains("sentinel node") => {
            "is not a sentinel: with sentinel, url names the sentinels, which usually have the port \
             26379; for a server without sentinels remove sentinel"
                .into()
        }
        ErrorKind::RESP3NotSupported => "is older than version 6".into(),
        ErrorKind::Parse => "is not a Redis server, judging by its response".into(),
        _ => format!("can't be used: {}", error.category()),
    }
}

/// Whether the server took the connection and ended it.
pub(crate) fn is_hang_up(error: &RedisError) -> bool {
    error.is_connection_dropped() && !error.is_connection_refusal()
}

/// Explains a code of Redis.
fn meaning(code: &str) -> Option<&'static str> {
    Some(match code {
        "NOAUTH" => "it requires a password, and the URL has none",
        "WRONGPASS" => "the user or the password of the URL is wrong, or the user is disabled",
        "NOPERM" => "the user lacks rights to the necessary commands, keys or channels",
        "READONLY" => "it is a replica, which stores nothing; use the URL of the primary",
        "LOADING" => "it is still loading its data",
        "BUSY" => "a script keeps it busy",
        "OOM" => "its memory is full",
        "MISCONF" => "it stores nothing, since it can't save its data",
        "MASTERDOWN" => "it is a replica that has lost its primary",
        "NOREPLICAS" => "it stores nothing, since it has too few replicas",
        "MOVED" | "ASK" | "CROSSSLOT" | "CLUSTERDOWN" | "TRYAGAIN" => {
            "it is a node of a cluster; set url to a list of the cluster's nodes"
        }
        _ => return None,
    })
}

/// Explains a response whose code alone says too little.
fn said(error: &RedisError) -> &'static str {
    let detail = error.detail().unwrap_or_default();
    if detail.contains("DB index") {
        "it has no database with the number in the URL"
    } else if detail.contains("without any password configured") {
        "it has no password, and the URL has one"
    } else if detail.contains("unknown command") {
        "it doesn't know a necessary command; if it is a sentinel, set sentinel to the name of its \
         primary, and url to the list of the sentinels"
    } else {
        "it refused a command"
    }
}

/// Whether a word is a code, which is in upper case. Any other word may have been sent.
fn is_code(code: &str) -> bool {
    code.len() <= 20 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}
