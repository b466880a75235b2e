-- What accounts are found by, in PostgreSQL; SQLite's is beside this. The texts are folded (billing/search/fold.rs), and in the order of
-- their bytes, so that a beginning is a range. The index for parts of them is made when all accounts are in (billing/search/prepare.rs).
CREATE TABLE account_search (
    account TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    folded_id TEXT COLLATE "C" NOT NULL DEFAULT '',
    -- The account's name, and the one on documents.
    name TEXT COLLATE "C" NOT NULL DEFAULT '',
    billing_name TEXT COLLATE "C" NOT NULL DEFAULT '',
    -- The tax id as it is written, and without what is between its letters and digits, a line each.
    tax_ids TEXT COLLATE "C" NOT NULL DEFAULT '',
    -- All of these, a line each.
    folded TEXT COLLATE "C" NOT NULL
        GENERATED ALWAYS AS (folded_id || chr(10) || name || chr(10) || billing_name || chr(10) || tax_ids) STORED
);
CREATE INDEX account_search_by_name ON account_search (name, account);
CREATE INDEX account_search_by_id ON account_search (folded_id);
CREATE INDEX account_search_by_billing_name ON account_search (billing_name);

-- Up to which account those from before this migration are in.
CREATE TABLE account_search_fill (
    place BIGINT NOT NULL PRIMARY KEY,
    filled_to TEXT NOT NULL,
    is_filled BIGINT NOT NULL
);
INSERT INTO account_search_fill (place, filled_to, is_filled) VALUES (1, '', 0);
