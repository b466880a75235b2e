-- Who may sign in to the web console, and who has.

CREATE TABLE users (
    name TEXT NOT NULL PRIMARY KEY,
    -- Roles, accounts and bounds, as the access file has them, in JSON.
    access TEXT NOT NULL,
    -- argon2id, in the PHC format; empty: there is none, and only a link signs in.
    password TEXT NOT NULL DEFAULT '',
    is_disabled BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL
);

-- Times are those of the system, not of the ledger, whose clock may be a test's.
CREATE TABLE sessions (
    -- Of what the browser keeps.
    digest TEXT NOT NULL PRIMARY KEY,
    user_name TEXT NOT NULL,
    -- What the user chose; empty: what the browser asks for.
    language TEXT NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);

CREATE INDEX sessions_of_user ON sessions (user_name);

-- Links that sign in once.
CREATE TABLE sign_in_links (
    digest TEXT NOT NULL PRIMARY KEY,
    user_name TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
