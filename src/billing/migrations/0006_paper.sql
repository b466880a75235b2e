-- What documents say beside figures.

-- The description of the last entry of each total; empty: none had one.
ALTER TABLE totals ADD COLUMN description TEXT NOT NULL DEFAULT '';

-- Corrections by hand, with their reasons.
CREATE TABLE adjustments (
    account TEXT NOT NULL,
    bill BIGINT NOT NULL,
    -- The account's number of the entry.
    sequence BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    reason TEXT NOT NULL,
    time BIGINT NOT NULL,
    PRIMARY KEY (account, bill, sequence)
);
