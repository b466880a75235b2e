-- What entries that give something back say of it, and how a refund or a reversal that comes late finds what it needs.

-- The sequence of the entry that is given back; what was credited beyond what was taken off the charge; what was refunded of the bill of
-- the charge since it was cut. Entries of before do not say it: 0.
ALTER TABLE entries ADD COLUMN original BIGINT NOT NULL DEFAULT 0;
ALTER TABLE entries ADD COLUMN credit_rounding BIGINT NOT NULL DEFAULT 0;
ALTER TABLE entries ADD COLUMN refunded_of_bill BIGINT NOT NULL DEFAULT 0;
ALTER TABLE lost_entries ADD COLUMN original BIGINT NOT NULL DEFAULT 0;
ALTER TABLE lost_entries ADD COLUMN credit_rounding BIGINT NOT NULL DEFAULT 0;
ALTER TABLE lost_entries ADD COLUMN refunded_of_bill BIGINT NOT NULL DEFAULT 0;

-- Write-offs can be reversed, too.
DROP INDEX entries_by_request;
CREATE INDEX entries_by_request ON entries (request_key) WHERE kind IN (3, 4, 5, 8, 23, 24);

-- What was given back of a charge, a payment or a write-off.
CREATE INDEX entries_that_give_back ON entries (account, refers_to, sequence) WHERE kind IN (6, 7, 9, 25);

-- What was credited of a bill.
CREATE INDEX entries_that_credit ON entries (account, detail_2, sequence) WHERE kind = 6;
