//! [`Table`]: the name of the table, and the statements on it.

use tokio_postgres::types::{ToSql, Type};

/// A parameter of a statement.
pub(crate) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// The table that the schema in the documentation makes.
pub(crate) const DEFAULT: &str = "biped_tokens";
/// The comment of a table with the layout of this version.
pub(crate) const LAYOUT: &str = "biped store, layout 1";
/// How a table of any layout is marked.
pub(crate) const MARK: &str = "biped store, layout ";
/// The most bytes of a PostgreSQL identifier.
const IDENTIFIER: usize = 63;
/// How many expired rows one statement removes.
pub(crate) const BATCH: i64 = 100;

/// The table of a store, and the statements on it. Each statement is atomic.
#[derive(Clone)]
pub(crate) struct Table {
    /// `schema.table`, as it is configured.
    pub(crate) name: String,
    /// The name in quotes.
    pub(crate) quoted: String,
    /// The channel on which changes are announced.
    pub(crate) channel: String,
    pub(crate) get: String,
    pub(crate) put: String,
    pub(crate) forget: String,
    pub(crate) lease: String,
    pub(crate) renew: String,
    pub(crate) refusal: String,
    pub(crate) end_lease: String,
    pub(crate) release: String,
    pub(crate) is_awaited: String,
    pub(crate) sweep: String,
}

impl Table {
    /// The table with a name, `table` or `schema.table`; `None` if that is not a name.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let parts: Vec<_> = name.split('.').collect();
        if parts.len() > 2 || !parts.iter().all(|part| is_identifier(part)) {
            return None;
        }
        let quoted: Vec<_> = parts.iter().map(|part| format!("\"{part}\"")).collect();
        let quoted = quoted.join(".");
        // Two tables on one channel wake each other's callers, which then look and wait again.
        let channel = name.chars().take(IDENTIFIER).collect();
        let with = |statement: &str| statement.replace("{table}", &quoted);
        Some(Self {
            name: name.to_owned(),
            get: with(GET),
            put: with(PUT),
            forget: with(FORGET),
            lease: with(LEASE),
            renew: with(RENEW),
            refusal: with(REFUSAL),
            end_lease: with(END_LEASE),
            release: with(RELEASE),
            is_awaited: with(IS_AWAITED),
            sweep: with(SWEEP),
            quoted,
            channel,
        })
    }

    /// The table of credentials, in quotes: beside this one, with `_accounts` at the end of its name.
    pub(crate) fn accounts(&self) -> String {
        const ENDING: &str = "_accounts";
        let (schema, name) = match self.name.rsplit_once('.') {
            Some((schema, name)) => (format!("\"{schema}\"."), name),
            None => (String::new(), self.name.as_str()),
        };
        // PostgreSQL would cut a longer name off, ending and all.
        let kept = name.get(..IDENTIFIER - ENDING.len()).unwrap_or(name);
        format!("{schema}\"{kept}{ENDING}\"")
    }

    /// The statements that make the table.
    pub(crate) fn schema(&self) -> String {
        include_str!("schema.sql").replace(DEFAULT, &self.quoted)
    }
}

fn is_identifier(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    text.len() <= IDENTIFIER
        && text.bytes().next().is_some_and(is_letter)
        && text
            .bytes()
            .all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

// Every `{table}` has the alias `s`. Times are the server's, read after the row is locked.

/// key → generation, token, seconds to keep it.
const GET: &str = "
SELECT s.generation, s.token,
    extract(epoch FROM s.token_until - clock_timestamp())::float8
FROM {table} s
WHERE s.key = $1 AND s.token_until > clock_timestamp()";

/// key, generation, token, seconds to keep it, seconds to remember the generation, lease, channel.
/// Returns a row if the token was stored.
const PUT: &str = "
WITH done AS (
    INSERT INTO {table} AS s (key, newest, generation, token, token_until, expires)
    VALUES ($1, $2, $2, $3, clock_timestamp() + make_interval(secs => $4),
        clock_timestamp() + make_interval(secs => greatest($4, $5)))
    ON CONFLICT (key) DO UPDATE SET
        newest = greatest(s.newest, excluded.newest),
        generation = excluded.generation,
        token = excluded.token,
        token_until = clock_timestamp() + make_interval(secs => $4),
        failure = NULL,
        failure_until = NULL,
        lease = CASE WHEN s.lease = $6 THEN NULL ELSE s.lease END,
        expires = greatest(s.expires, excluded.expires)
    WHERE (s.token_until IS NULL OR s.token_until <= clock_timestamp()
            OR s.generation < excluded.generation)
        AND (s.forgotten_until IS NULL OR s.forgotten_until <= clock_timestamp()
            OR s.forgotten < excluded.generation)
    RETURNING key
)
SELECT pg_notify($7, encode(key, 'hex'))::text FROM done";

/// key, generation, seconds to refuse it, seconds to remember the generation, channel.
const FORGET: &str = "
WITH done AS (
    INSERT INTO {table} AS s (key, newest, forgotten, forgotten_until, expires)
    VALUES ($1, $2, $2, clock_timestamp() + make_interval(secs => $3),
        clock_timestamp() + make_interval(secs => greatest($3, $4)))
    ON CONFLICT (key) DO UPDATE SET
        newest = greatest(s.newest, excluded.newest),
        forgotten = CASE WHEN s.forgotten_until > clock_timestamp()
            THEN greatest(s.forgotten, excluded.forgotten) ELSE excluded.forgotten END,
        forgotten_until = greatest(s.forgotten_until, excluded.forgotten_until),
        token = CASE WHEN s.generation <= excluded.forgotten THEN NULL ELSE s.token END,
        token_until = CASE WHEN s.generation <= excluded.forgotten THEN NULL ELSE s.token_until END,
        expires = greatest(s.expires, excluded.expires)
    RETURNING key
)
SELECT pg_notify($5, encode(key, 'hex'))::text FROM done";

/// key, lease, seconds it lasts, seconds to remember its generation. Returns the generation if the lease
/// is granted. The caller chooses the identifier, so that asking twice is asking once. A lease that another
/// process has is seen without a lock: `ON CONFLICT` locks the row of each process that asks, and a fleet
/// would queue for it.
const LEASE: &str = "
INSERT INTO {table} AS s (key, newest, lease, lease_generation, lease_until, expires)
SELECT $1, now.micros, $2, now.micros, clock_timestamp() + make_interval(secs => $3),
    clock_timestamp() + make_interval(secs => greatest($3, $4))
FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros) AS now
WHERE NOT EXISTS (
    SELECT FROM {table} AS t
    WHERE t.key = $1 AND t.lease IS DISTINCT FROM $2
        AND ((t.lease IS NOT NULL AND t.lease_until > clock_timestamp())
            OR t.failure_until > clock_timestamp()))
ON CONFLICT (key) DO UPDATE SET
    newest = CASE WHEN s.lease = $2 THEN s.newest ELSE greatest(s.newest + 1, excluded.newest) END,
    lease = excluded.lease,
    lease_generation = CASE WHEN s.lease = $2 THEN s.lease_generation
        ELSE greatest(s.newest + 1, excluded.newest) END,
    lease_until = clock_timestamp() + make_interval(secs => $3),
    expires = greatest(s.expires, excluded.expires)
WHERE s.lease = $2
    OR ((s.lease IS NULL OR s.lease_until <= clock_timestamp())
        AND (s.failure_until IS NULL OR s.failure_until <= clock_timestamp()))
RETURNING lease_generation";

/// key, lease, seconds it lasts. Returns the generation if the lease is still held.
const RENEW: &str = "
UPDATE {table} AS s SET
    lease_until = clock_timestamp() + make_interval(secs => $3),
    expires = greatest(s.expires, clock_timestamp() + make_interval(secs => $3))
WHERE s.key = $1 AND s.lease = $2 AND s.lease_until > clock_timestamp()
RETURNING s.lease_generation";

/// key → why a lease was not granted: the seconds for which another has it, or those for which the
/// failure counts and its words.
const REFUSAL: &str = "
SELECT
    CASE WHEN s.lease IS NOT NULL AND s.lease_until > clock_timestamp()
        THEN extract(epoch FROM s.lease_until - clock_timestamp())::float8 END,
    CASE WHEN s.failure_until > clock_timestamp()
        THEN extract(epoch FROM s.failure_until - clock_timestamp())::float8 END,
    s.failure
FROM {table} s WHERE s.key = $1";

/// key, lease, channel: for a token that was too old to be stored.
const END_LEASE: &str = "
WITH done AS (
    UPDATE {table} AS s SET lease = NULL WHERE s.key = $1 AND s.lease = $2 RETURNING s.key
)
SELECT pg_notify($3, encode(key, 'hex'))::text FROM done";

/// key, lease, failure, seconds it counts, channel.
const RELEASE: &str = "
WITH done AS (
    UPDATE {table} AS s SET
        lease = NULL,
        failure = $3,
        failure_until = clock_timestamp() + make_interval(secs => $4),
        expires = greatest(s.expires, clock_timestamp() + make_interval(secs => $4))
    WHERE s.key = $1 AND s.lease = $2 AND s.lease_until > clock_timestamp()
    RETURNING s.key
)
SELECT pg_notify($5, encode(key, 'hex'))::text FROM done";

/// key, generation: a row if a process holds the lease and there is no later token yet.
const IS_AWAITED: &str = "
SELECT true FROM {table} s
WHERE s.key = $1 AND s.lease IS NOT NULL AND s.lease_until > clock_timestamp()
    AND NOT coalesce(s.generation > $2 AND s.token_until > clock_timestamp(), false)";

/// batch → how many rows were removed. Rows that another process has locked are left to it.
const SWEEP: &str = "
WITH swept AS (
    DELETE FROM {table} WHERE key IN (
        SELECT s.key FROM {table} s WHERE s.expires <= clock_timestamp()
        LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    RETURNING key
)
SELECT count(*) FROM swept";
