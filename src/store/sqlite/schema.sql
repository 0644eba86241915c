-- Version 1. Times are in milliseconds since the Unix epoch.

CREATE TABLE operations (
    -- In the order of creation.
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    owner TEXT,
    created INTEGER NOT NULL,
    -- 0 queued, 1 running, 2 succeeded, 3 failed, 4 canceled.
    state INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    -- Under which it runs, if it runs under any.
    lease INTEGER,
    -- When something is to be done about it: while queued when its rest is over, NULL where it may be claimed at once;
    -- while running when it has run for too long, NULL where that is not limited; then when it is to be forgotten.
    due INTEGER,
    -- For whom it takes its turn: its owner and route as a number. NULL where there is nothing to run again.
    lane INTEGER,
    terms BLOB NOT NULL,
    -- What a client named it by, and what was asked for under that name.
    key BLOB,
    asked BLOB,
    -- The latest report of the attempt that runs.
    report INTEGER,
    fraction REAL,
    message TEXT,
    -- The attempts that failed without a reply.
    failed BLOB,
    -- Its end: when, why without its handler's reply, and of the reply its status and size.
    ended INTEGER,
    failure TEXT,
    status INTEGER,
    size INTEGER
) STRICT;

CREATE UNIQUE INDEX operations_by_id ON operations (id);
CREATE UNIQUE INDEX operations_by_key ON operations (key) WHERE key IS NOT NULL;
CREATE INDEX operations_by_owner ON operations (owner, created, id, state) WHERE owner IS NOT NULL;
CREATE INDEX operations_by_due ON operations (state, due) WHERE due IS NOT NULL;
CREATE INDEX operations_by_lease ON operations (lease) WHERE lease IS NOT NULL;
CREATE INDEX operations_by_lane ON operations (lane) WHERE state = 0 AND due IS NULL;

-- Apart, so that what is read often stays small.
CREATE TABLE requests (operation INTEGER PRIMARY KEY, record BLOB NOT NULL) STRICT;
CREATE TABLE replies (operation INTEGER PRIMARY KEY, record BLOB NOT NULL) STRICT;

CREATE TABLE leases (id INTEGER PRIMARY KEY AUTOINCREMENT, until INTEGER NOT NULL, length INTEGER NOT NULL) STRICT;
CREATE INDEX leases_by_end ON leases (until);

-- Whose turn it was last.
CREATE TABLE turn (lane INTEGER NOT NULL) STRICT;
INSERT INTO turn VALUES (0);

CREATE TABLE counts (state INTEGER PRIMARY KEY, operations INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
INSERT INTO counts VALUES (0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0);

CREATE TRIGGER operation_created AFTER INSERT ON operations BEGIN
    UPDATE counts SET operations = operations + 1 WHERE state = new.state;
END;

CREATE TRIGGER operation_moved AFTER UPDATE OF state ON operations BEGIN
    UPDATE counts SET operations = operations - 1 WHERE state = old.state;
    UPDATE counts SET operations = operations + 1, bytes = bytes + ifnull(new.size, 0) WHERE state = new.state;
END;

CREATE TRIGGER operation_ended AFTER UPDATE OF lane ON operations WHEN old.lane IS NOT NULL AND new.lane IS NULL BEGIN
    DELETE FROM requests WHERE operation = new.number;
END;

CREATE TRIGGER operation_forgotten AFTER DELETE ON operations BEGIN
    UPDATE counts SET operations = operations - 1, bytes = bytes - ifnull(old.size, 0) WHERE state = old.state;
    DELETE FROM requests WHERE operation = old.number;
    DELETE FROM replies WHERE operation = old.number;
END;
