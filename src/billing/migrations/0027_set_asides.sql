-- What changed what is set aside of a credit: the entries, and what operators did by hand (numbered below zero). If the ledger has lost
-- an entry, what it changed is undone.
CREATE TABLE set_asides (
    account TEXT NOT NULL,
    -- 0: what was set aside before this table was made.
    sequence BIGINT NOT NULL,
    credit BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (account, sequence, credit)
);

INSERT INTO set_asides (account, sequence, credit, amount) SELECT account, 0, sequence, set_aside FROM credits WHERE set_aside > 0;
