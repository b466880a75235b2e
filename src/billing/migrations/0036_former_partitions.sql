-- The partitions that the ledger had before it was restored with another number of them. Their entries keep their places; those since then
-- lie behind the sequences of all of them.
CREATE TABLE former_partitions (
    -- The first number of partitions is 1.
    layout BIGINT NOT NULL,
    partition BIGINT NOT NULL,
    -- Its entries lie behind the first of these sequences, up to the other.
    after_sequence BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    PRIMARY KEY (layout, partition)
);

-- Where accounts are to be, while a ledger is restored with another number of partitions.
CREATE TABLE moving_accounts (
    account TEXT NOT NULL PRIMARY KEY,
    partition BIGINT NOT NULL
);
