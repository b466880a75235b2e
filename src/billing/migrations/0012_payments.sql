-- Payments to look at, and what operators do with them by hand; what is due and on no document yet.

-- What a credit says of itself: the kind of its entry, the place of that in the journal (as of a document's id), when the money was
-- received, how, and what was said about it.
ALTER TABLE credits ADD COLUMN kind BIGINT NOT NULL DEFAULT 0;
ALTER TABLE credits ADD COLUMN entry BIGINT NOT NULL DEFAULT 0;
ALTER TABLE credits ADD COLUMN received_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE credits ADD COLUMN method TEXT NOT NULL DEFAULT '';
ALTER TABLE credits ADD COLUMN reference TEXT NOT NULL DEFAULT '';
ALTER TABLE credits ADD COLUMN remark TEXT NOT NULL DEFAULT '';
ALTER TABLE credits ADD COLUMN actor TEXT NOT NULL DEFAULT '';
ALTER TABLE credits ADD COLUMN reason TEXT NOT NULL DEFAULT '';
-- What an operator took off invoices: no automatic allocation uses it.
ALTER TABLE credits ADD COLUMN set_aside BIGINT NOT NULL DEFAULT 0;

CREATE INDEX entries_that_credited ON entries (account, account_sequence) WHERE kind IN (6, 8, 11, 23, 24, 28);
UPDATE credits SET kind = found.kind, entry = found.sequence * 65536 + found.partition, received_at = found.time, actor = found.actor,
    reason = found.reason
    FROM entries AS found
    WHERE found.account = credits.account AND found.account_sequence = credits.sequence AND found.kind IN (6, 8, 11, 23, 24, 28);
DROP INDEX entries_that_credited;

CREATE INDEX payments_by_day ON credits (received_at, entry) WHERE kind IN (8, 23);
CREATE INDEX payments_of_account ON credits (account, received_at, entry) WHERE kind IN (8, 23);
CREATE INDEX payments_by_method ON credits (method, received_at, entry) WHERE kind IN (8, 23);
CREATE INDEX payments_unallocated ON credits (received_at, entry) WHERE kind IN (8, 23) AND amount > allocated + reversed;
CREATE INDEX allocations_of_credit ON allocations (account, credit);
CREATE INDEX credits_set_aside ON credits (account) WHERE set_aside > 0;

-- What operators allocated, took off invoices, and freed. Rows are only added. Their allocations have the number below zero as theirs.
CREATE TABLE allocations_by_hand (
    account TEXT NOT NULL,
    number BIGINT NOT NULL,
    request_id TEXT NOT NULL,
    -- What was asked for.
    content TEXT NOT NULL,
    credit BIGINT NOT NULL,
    -- 0: what was set aside was freed.
    document BIGINT NOT NULL,
    -- Below zero: taken off the invoice.
    amount BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (account, number)
);

CREATE UNIQUE INDEX allocations_by_hand_by_request ON allocations_by_hand (account, request_id);

-- What postpaid accounts owe that is on no document yet: only such accounts have a row.
CREATE TABLE dues (
    account TEXT NOT NULL PRIMARY KEY,
    amount BIGINT NOT NULL
);

INSERT INTO dues (account, amount)
    SELECT account, due FROM (
        SELECT accounts.account, CAST(-accounts.balance - COALESCE(SUM(payables.open_amount), 0) AS BIGINT) AS due
        FROM accounts LEFT JOIN payables ON payables.account = accounts.account AND payables.open_amount > 0
        WHERE accounts.mode = 2 AND accounts.balance < 0 GROUP BY accounts.account, accounts.balance) AS debts
    WHERE due > 0;
