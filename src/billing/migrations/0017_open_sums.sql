-- How many invoices of an account are open, and how much: a charge need not add up what may be many thousands. Written with what it sums up.
CREATE TABLE open_sums (
    account TEXT NOT NULL PRIMARY KEY,
    open_count BIGINT NOT NULL,
    open_amount BIGINT NOT NULL
);
INSERT INTO open_sums (account, open_count, open_amount)
    SELECT account, CAST(COUNT(*) AS BIGINT), CAST(SUM(open_amount) AS BIGINT) FROM payables WHERE open_amount > 0 GROUP BY account;

-- The oldest in front.
DROP INDEX payables_open;
CREATE INDEX payables_open ON payables (account, cut_at, document) WHERE open_amount > 0;
