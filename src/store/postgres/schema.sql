-- The tables of tower-respond-async, version 1. In place of {p} stands the prefix of their names.
-- Run it as often as you like, in one transaction: what is there already stays as it is.

-- Two that migrate at once take turns; the lock ends with the transaction.
SELECT pg_advisory_xact_lock(hashtext('{p}schema'));

CREATE TABLE IF NOT EXISTS {p}schema (
    version integer PRIMARY KEY
);

-- The terms on which operations run: few, and shared by many operations. Times are milliseconds everywhere.
CREATE TABLE IF NOT EXISTS {p}terms (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    record bytea NOT NULL,
    retention bigint NOT NULL,
    max_run_time bigint,
    max_attempts bigint NOT NULL,
    backoff bigint NOT NULL
);

CREATE TABLE IF NOT EXISTS {p}leases (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    length bigint NOT NULL,
    until bigint NOT NULL
);

-- Idempotency keys, and the operations they became.
CREATE TABLE IF NOT EXISTS {p}keys (
    name uuid PRIMARY KEY,
    request uuid NOT NULL,
    operation uuid NOT NULL
);

-- The operations that have not ended: w rests before its next attempt, q can be claimed, r runs.
CREATE TABLE IF NOT EXISTS {p}live (
    id uuid PRIMARY KEY,
    created bigint NOT NULL,
    due bigint,             -- w: when it has rested; r: when it has run for too long
    lease bigint,
    terms integer NOT NULL,
    attempt integer NOT NULL,
    failures integer NOT NULL,
    state "char" NOT NULL,
    owner bytea,
    key uuid,
    lane uuid,              -- whose turn it is: one for each owner and route
    request bytea,
    reported bigint,
    fraction bigint,
    message bytea,
    failed_attempts bytea
) WITH (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE {p}live ALTER COLUMN request SET STORAGE EXTERNAL;

CREATE INDEX IF NOT EXISTS {p}live_queue ON {p}live (lane, created, id) WHERE state = 'q';
CREATE INDEX IF NOT EXISTS {p}live_due ON {p}live (state, due) WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS {p}live_lease ON {p}live (lease) WHERE lease IS NOT NULL;
CREATE INDEX IF NOT EXISTS {p}live_owner ON {p}live ((md5(owner)::uuid), state, created) WHERE owner IS NOT NULL;

-- The operations that have ended: s succeeded, f failed, c canceled. Rows are added and removed, and never change.
CREATE TABLE IF NOT EXISTS {p}ended (
    id uuid PRIMARY KEY,
    created bigint NOT NULL,
    ended bigint NOT NULL,
    expires bigint NOT NULL,
    terms integer NOT NULL,
    attempt integer NOT NULL,
    failures integer NOT NULL,
    status smallint,
    state "char" NOT NULL,
    failure "char",
    owner bytea,
    key uuid,
    reply bytea,
    reported bigint,
    fraction bigint,
    message bytea,
    failed_attempts bytea
);
ALTER TABLE {p}ended ALTER COLUMN reply SET STORAGE EXTERNAL;

CREATE INDEX IF NOT EXISTS {p}ended_expires ON {p}ended (expires);
CREATE INDEX IF NOT EXISTS {p}ended_owner ON {p}ended ((md5(owner)::uuid), state, created) WHERE owner IS NOT NULL;

INSERT INTO {p}schema (version) VALUES (1) ON CONFLICT DO NOTHING;
