-- The ledger whose journal this store holds: one row, once it has taken one in.
CREATE TABLE ledger (
    -- Always 1.
    place BIGINT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL
);
