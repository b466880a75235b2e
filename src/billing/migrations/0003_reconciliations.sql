-- What was done where ledger and billing store had come to differ, and by whom.
CREATE TABLE reconciliations (
    id BIGINT NOT NULL PRIMARY KEY,
    partition BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    -- Why the partition had been stopped.
    stopped_because TEXT NOT NULL,
    -- 'RESUMED', 'LOSS_ACCEPTED' or 'REAPPLIED'.
    action TEXT NOT NULL,
    -- The last entry that both had, and the last that only SQL had.
    common_sequence BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL
);

-- Entries that only SQL had. They count nowhere any more; those that were applied again have new entries.
CREATE TABLE lost_entries (
    reconciliation BIGINT NOT NULL,
    partition BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    account TEXT NOT NULL,
    account_sequence BIGINT NOT NULL,
    previous BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    time BIGINT NOT NULL,
    mode BIGINT NOT NULL,
    bill BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    balance BIGINT NOT NULL,
    unbilled BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    detail_1 BIGINT NOT NULL,
    detail_2 BIGINT NOT NULL,
    category BIGINT NOT NULL,
    item TEXT NOT NULL,
    description TEXT NOT NULL,
    quantity TEXT NOT NULL,
    unit TEXT NOT NULL,
    occurred_at BIGINT,
    attributes TEXT NOT NULL,
    request_id TEXT NOT NULL,
    fingerprint BIGINT NOT NULL,
    refers_to TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    invoices TEXT NOT NULL,
    settings TEXT NOT NULL,
    -- Empty: it is not to be applied again. 'WAITING', or what came of it.
    outcome TEXT NOT NULL,
    PRIMARY KEY (reconciliation, partition, sequence)
);

CREATE INDEX lost_entries_waiting ON lost_entries (partition, sequence) WHERE outcome = 'WAITING';
