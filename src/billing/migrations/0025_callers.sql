-- Who may call, beside the access files. Those who are let in are copied into the ledger's store, where they are looked up.
CREATE TABLE callers (
    -- 'key' or 'certificate'.
    kind TEXT NOT NULL,
    -- What people call it: the actor in the journal. Of a certificate, the name in it.
    name TEXT NOT NULL,
    -- The public part of a key; of a certificate, its name.
    id TEXT NOT NULL,
    -- What is kept of a key.
    digest TEXT NOT NULL,
    -- Roles, accounts and bounds, as the access file has them, in JSON.
    access TEXT NOT NULL,
    -- Times are those of the system. 0: never.
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL,
    -- To the minute.
    last_used_at BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);

-- Counts the changes, so that a copy is known to be an old one.
CREATE TABLE callers_version (id BIGINT NOT NULL PRIMARY KEY, version BIGINT NOT NULL);

INSERT INTO callers_version (id, version) VALUES (1, 0);
