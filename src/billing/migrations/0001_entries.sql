-- What the aggregator writes: its place in the journal of each partition, the entries, their running totals, the accounts.
-- BIGINT and TEXT only: what both stores keep alike. Times are milliseconds since the Unix epoch; amounts are units of the account.

-- Who reads the journal of which partition, and how far it was read.
CREATE TABLE partitions (
    partition BIGINT NOT NULL PRIMARY KEY,
    -- Raised by each claim. Whoever writes by an older one has lost the partition, and writes nothing.
    fence BIGINT NOT NULL,
    -- The sequence that the next entry must have, the id (hex) of the block before it, and that block's time.
    next_sequence BIGINT NOT NULL,
    last_block TEXT NOT NULL,
    last_time BIGINT NOT NULL,
    -- 'RUNNING', or 'STOPPED' with the reason why nobody may go on.
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    stopped_at BIGINT NOT NULL,
    -- The process that works on it, until its lease ends; empty: nobody.
    owner TEXT NOT NULL,
    lease_until BIGINT NOT NULL,
    -- Up to this end of a billing period, the closes of idle accounts have been asked for.
    closed_until BIGINT NOT NULL
);

-- The processes that aggregate, so that they can share the partitions.
CREATE TABLE workers (
    owner TEXT NOT NULL PRIMARY KEY,
    alive_until BIGINT NOT NULL
);

-- The journal. Attributes are a JSON array of pairs, invoices of strings, settings an object; empty: none.
CREATE TABLE entries (
    partition BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    account TEXT NOT NULL,
    account_sequence BIGINT NOT NULL,
    -- The sequence of the account's entry before it; 0: it is its first.
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
    -- A digest of account and request id, so that the index of them stays small: it is most of what an entry costs.
    request_key BIGINT NOT NULL,
    fingerprint BIGINT NOT NULL,
    refers_to TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    invoices TEXT NOT NULL,
    settings TEXT NOT NULL,
    PRIMARY KEY (partition, sequence)
);

-- What a late refund or reversal refers to.
CREATE INDEX entries_by_request ON entries (request_key) WHERE kind IN (3, 4, 5, 8, 23);

-- Running totals of all entries that move money. Category 0: none.
CREATE TABLE totals (
    account TEXT NOT NULL,
    bill BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    category BIGINT NOT NULL,
    item TEXT NOT NULL,
    unit TEXT NOT NULL,
    amount BIGINT NOT NULL,
    -- The sum, as a decimal; empty: none was given.
    quantity TEXT NOT NULL,
    count BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (account, bill, kind, category, item, unit)
);

-- Accounts as they were after the last entry of each that was read. (What a reservation gave back when it expired has no entry.)
CREATE TABLE accounts (
    account TEXT NOT NULL PRIMARY KEY,
    partition BIGINT NOT NULL,
    name TEXT NOT NULL,
    currency TEXT NOT NULL,
    decimals BIGINT NOT NULL,
    minor_digits BIGINT NOT NULL,
    mode BIGINT NOT NULL,
    status BIGINT NOT NULL,
    non_usage_billing BIGINT NOT NULL,
    permanent_limit BIGINT NOT NULL,
    temporary_limit BIGINT NOT NULL,
    temporary_until BIGINT NOT NULL,
    balance BIGINT NOT NULL,
    unbilled BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    -- The number of the last entry that moved money.
    account_sequence BIGINT NOT NULL,
    -- The bill that is open, and the highest number given to one.
    bill BIGINT NOT NULL,
    last_bill BIGINT NOT NULL,
    -- -1: none.
    low_credit_threshold BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    -- The partition's sequence of its last entry.
    last_sequence BIGINT NOT NULL
);
