-- Parts of a ledger's journal that this store does not know, and that were accepted: what they led to is not itemized.
CREATE TABLE gaps (
    partition BIGINT NOT NULL,
    first_sequence BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    reconciliation BIGINT NOT NULL,
    PRIMARY KEY (partition, first_sequence)
);

-- 1: nobody knows which numbers were given meanwhile. Nothing is issued in the series until an operator says how it goes on.
ALTER TABLE series ADD COLUMN is_held BIGINT NOT NULL DEFAULT 0;

-- Numbers that an operator said were given, though no document here has them.
CREATE TABLE skipped_numbers (
    prefix TEXT NOT NULL,
    first_place BIGINT NOT NULL,
    last_place BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (prefix, first_place)
);
