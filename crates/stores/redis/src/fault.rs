//! [`why`]: what a Redis has against a command, in words that say what to do.

use redis::{ErrorKind, RedisError};

/// How much of the system's or TLS's own words is told.
const WORDS: usize = 200;

/// Why a command failed. Never with what was sent: a server may repeat it, so of its answers only
/// the code is told.
pub(crate) fn why(error: &RedisError) -> String {
    if let Some(code) = error.code().filter(|code| is_code(code)) {
        return match meaning(code) {
            Some(meaning) => format!("answers {code}: {meaning}"),
            None => format!("answers {code}: {}", said(error)),
        };
    }
    match error.kind() {
        ErrorKind::Io => {
            let words: String = error.to_string().chars().take(WORDS).collect();
            let what_to_do = if words.contains("UnknownIssuer") {
                "; name the authority that vouches for it (ca)"
            } else {
                ""
            };
            format!("can't be reached: {}{what_to_do}", words.escape_debug())
        }
        ErrorKind::AuthenticationFailed => "refuses the user or the password of the URL".into(),
        ErrorKind::RESP3NotSupported => "is older than version 6".into(),
        ErrorKind::Parse => "is no Redis, by what it answers".into(),
        _ => format!("can't be used: {}", error.category()),
    }
}

/// What those who don't know Redis by heart have to know of a code.
fn meaning(code: &str) -> Option<&'static str> {
    Some(match code {
        "NOAUTH" => "it wants a password, and the URL has none",
        "WRONGPASS" => "the user or the password of the URL is wrong, or the user is disabled",
        "NOPERM" => "the user lacks rights to a command, the keys or the channels that are needed",
        "READONLY" => "it is a replica, which stores nothing; the URL has to name the primary",
        "LOADING" => "it is still loading its data",
        "BUSY" => "a script keeps it busy",
        "OOM" => "its memory is full",
        "MISCONF" => "it stores nothing, since it can't save its data",
        "MASTERDOWN" => "it is a replica that has lost its primary",
        "NOREPLICAS" => "it stores nothing, since it has too few replicas",
        "MOVED" | "ASK" | "CROSSSLOT" | "CLUSTERDOWN" | "TRYAGAIN" => {
            "it is a node of a cluster, which is not supported yet"
        }
        _ => return None,
    })
}

/// The client's own words for an answer that has no code worth telling.
fn said(error: &RedisError) -> &'static str {
    let detail = error.detail().unwrap_or_default();
    if detail.contains("DB index") {
        "it has no database of the number in the URL"
    } else if detail.contains("without any password configured") {
        "it has no password, and the URL has one"
    } else if detail.contains("unknown command") {
        "it doesn't know a command that is needed"
    } else {
        "it refused a command"
    }
}

/// Codes are upper case; anything else may be something that was sent.
fn is_code(code: &str) -> bool {
    code.len() <= 20 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}
