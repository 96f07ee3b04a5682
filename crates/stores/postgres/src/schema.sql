CREATE TABLE biped_tokens (
    key              bytea       PRIMARY KEY,
    newest           bigint      NOT NULL,
    generation       bigint,
    token            bytea,
    token_until      timestamptz,
    forgotten        bigint,
    forgotten_until  timestamptz,
    lease            bytea,
    lease_generation bigint,
    lease_until      timestamptz,
    failure          bytea,
    failure_until    timestamptz,
    expires          timestamptz NOT NULL
);
CREATE INDEX ON biped_tokens (expires);
COMMENT ON TABLE biped_tokens IS 'biped store, layout 1';
