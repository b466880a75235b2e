-- What accounts are found by, in SQLite; see PostgreSQL's beside this.
CREATE TABLE account_search (
    -- What the index for parts of the texts knows a row by: it must not change when a copy is made.
    number INTEGER PRIMARY KEY,
    account TEXT NOT NULL UNIQUE,
    folded_id TEXT NOT NULL DEFAULT '',
    name TEXT NOT NULL DEFAULT '',
    billing_name TEXT NOT NULL DEFAULT '',
    tax_ids TEXT NOT NULL DEFAULT '',
    folded TEXT NOT NULL
        GENERATED ALWAYS AS (folded_id || char(10) || name || char(10) || billing_name || char(10) || tax_ids) STORED
);
CREATE INDEX account_search_by_name ON account_search (name, account);
CREATE INDEX account_search_by_id ON account_search (folded_id);
CREATE INDEX account_search_by_billing_name ON account_search (billing_name);

CREATE TABLE account_search_fill (
    place BIGINT NOT NULL PRIMARY KEY,
    filled_to TEXT NOT NULL,
    is_filled BIGINT NOT NULL
);
INSERT INTO account_search_fill (place, filled_to, is_filled) VALUES (1, '', 0);
