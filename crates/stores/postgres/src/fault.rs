//! [`why`]: why an operation failed, in words that say what to do.

use std::error::Error as _;

use tokio_postgres::{Error, error::SqlState};

/// What may be wrong with a server to which there has been no connection in time.
pub(crate) const SILENT: &str = "there is no connection yet; if it stays so, check the host and the port, and that a \
                                 PostgreSQL listens there";

/// How much of a message of the system or of TLS is shown.
const WORDS: usize = 200;

/// Says why an operation failed. A server may repeat what was sent, so only the code of its response is
/// shown.
pub(crate) fn why(error: &Error) -> String {
    if let Some(code) = error.code() {
        let shown = code.code();
        return match meaning(code) {
            Some(meaning) => format!("responds with {shown}: {meaning}"),
            None => format!("responds with {shown}, see PostgreSQL's list of error codes"),
        };
    }
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = error.to_string();
        cause = error.source();
    }
    if words.contains("database does not allow writes") {
        return "is a replica, which stores nothing; use the URL of the primary, or promote it"
            .into();
    }
    if words.contains("password missing") {
        return "requires a password, and the URL has none; add it".into();
    }
    if words.contains("server does not support TLS") {
        return "has no TLS, which sslmode requires; enable TLS on the server".into();
    }
    if words.contains("did not use channel binding") {
        return "does not bind the password to TLS, which channel_binding requires; enable TLS and \
                scram-sha-256 on the server, with a certificate that is signed by RSA (PKCS #1) or ECDSA, or \
                remove channel_binding from the URL"
            .into();
    }
    let remedy = if words.contains("UnknownIssuer") {
        "; set ca to the certificate of the authority that signed the server's, or on loopback use \
         sslmode=disable"
    } else {
        ""
    };
    let words: String = words.chars().take(WORDS).collect();
    format!("can't be reached: {}{remedy}", words.escape_debug())
}

/// Explains a code of PostgreSQL.
fn meaning(code: &SqlState) -> Option<&'static str> {
    let known: &[(&SqlState, &str)] = &[
        (
            &SqlState::INVALID_PASSWORD,
            "the user or the password of the URL is wrong; correct the URL",
        ),
        (
            &SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            "it admits no such connection; correct the user or sslmode of the URL, or pg_hba.conf",
        ),
        (
            &SqlState::INVALID_CATALOG_NAME,
            "it has no database with the name in the URL; create it",
        ),
        (
            &SqlState::TOO_MANY_CONNECTIONS,
            "it has no connection left; raise max_connections, or use a pooler",
        ),
        (
            &SqlState::INSUFFICIENT_PRIVILEGE,
            "the user lacks a right; grant SELECT, INSERT, UPDATE and DELETE on the table, and CREATE on \
             the schema unless the table is there",
        ),
        (
            &SqlState::UNDEFINED_TABLE,
            "the table is missing; create it with the SQL of biped-postgres's documentation",
        ),
        (
            &SqlState::INVALID_SCHEMA_NAME,
            "the schema of the table is missing; create it",
        ),
        (
            &SqlState::UNDEFINED_COLUMN,
            "the table has another layout; name another table",
        ),
        (
            &SqlState::READ_ONLY_SQL_TRANSACTION,
            "it is a replica, which stores nothing; use the URL of the primary, or \
             target_session_attrs=read-write",
        ),
        (
            &SqlState::QUERY_CANCELED,
            "the statement was cancelled, because it took too long",
        ),
        (
            &SqlState::ADMIN_SHUTDOWN,
            "it is shutting down; try again later",
        ),
        (&SqlState::CRASH_SHUTDOWN, "it restarts after a crash"),
        (&SqlState::CANNOT_CONNECT_NOW, "it is starting or stopping"),
        (&SqlState::DISK_FULL, "its disk is full; free space"),
        (&SqlState::OUT_OF_MEMORY, "its memory is full; free memory"),
    ];
    let found = known.iter().find(|(known, _)| *known == code);
    found.map(|(_, meaning)| *meaning)
}
