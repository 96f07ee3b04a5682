CREATE TABLE IF NOT EXISTS biped_tokens_accounts (
    key bytea PRIMARY KEY,
    revision bigint NOT NULL,
    entry bytea,
    lease bytea,
    lease_until timestamptz
);
