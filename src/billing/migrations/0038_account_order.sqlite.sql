-- What accounts are ordered and filtered by in SQLite; see PostgreSQL's beside this. SQLite computes such columns when it reads them, and
-- keeps them in the indices.
ALTER TABLE accounts ADD COLUMN usable_order BIGINT NOT NULL GENERATED ALWAYS AS (
    (CASE mode WHEN 1 THEN balance ELSE CASE WHEN balance > 0 THEN balance ELSE 0 END - unbilled END - reserved + permanent_limit)
    * CASE decimals WHEN 0 THEN 1000 WHEN 1 THEN 100 WHEN 2 THEN 10 ELSE 1 END
    / CASE decimals WHEN 4 THEN 10 WHEN 5 THEN 100 WHEN 6 THEN 1000 ELSE 1 END) VIRTUAL;
ALTER TABLE accounts ADD COLUMN raised_order BIGINT NOT NULL GENERATED ALWAYS AS (
    (CASE mode WHEN 1 THEN balance ELSE CASE WHEN balance > 0 THEN balance ELSE 0 END - unbilled END - reserved
        + CASE WHEN temporary_limit > permanent_limit THEN temporary_limit ELSE permanent_limit END)
    * CASE decimals WHEN 0 THEN 1000 WHEN 1 THEN 100 WHEN 2 THEN 10 ELSE 1 END
    / CASE decimals WHEN 4 THEN 10 WHEN 5 THEN 100 WHEN 6 THEN 1000 ELSE 1 END) VIRTUAL;
ALTER TABLE accounts ADD COLUMN balance_order BIGINT NOT NULL GENERATED ALWAYS AS (
    balance
    * CASE decimals WHEN 0 THEN 1000 WHEN 1 THEN 100 WHEN 2 THEN 10 ELSE 1 END
    / CASE decimals WHEN 4 THEN 10 WHEN 5 THEN 100 WHEN 6 THEN 1000 ELSE 1 END) VIRTUAL;
ALTER TABLE accounts ADD COLUMN due_order BIGINT NOT NULL GENERATED ALWAYS AS (
    CASE WHEN mode = 2 AND balance < 0 THEN -balance ELSE 0 END
    * CASE decimals WHEN 0 THEN 1000 WHEN 1 THEN 100 WHEN 2 THEN 10 ELSE 1 END
    / CASE decimals WHEN 4 THEN 10 WHEN 5 THEN 100 WHEN 6 THEN 1000 ELSE 1 END) VIRTUAL;
-- 1: credit is low, but for a temporary limit that may run.
ALTER TABLE accounts ADD COLUMN may_be_low BIGINT NOT NULL GENERATED ALWAYS AS (
    CASE WHEN status <> 3
        AND CASE mode WHEN 1 THEN balance ELSE CASE WHEN balance > 0 THEN balance ELSE 0 END - unbilled END - reserved + permanent_limit
            < CASE WHEN low_credit_threshold > 1 THEN low_credit_threshold ELSE 1 END
    THEN 1 ELSE 0 END) VIRTUAL;

CREATE INDEX accounts_by_usable ON accounts (usable_order, account);
CREATE INDEX accounts_raised ON accounts (raised_order, account) WHERE temporary_until > 0;
CREATE INDEX accounts_by_balance ON accounts (balance_order, account);
CREATE INDEX accounts_by_due ON accounts (due_order, account);
CREATE INDEX accounts_low ON accounts (usable_order, account) WHERE may_be_low = 1;
CREATE INDEX accounts_owing ON accounts (balance_order, account) WHERE balance < 0;
CREATE INDEX accounts_by_mode ON accounts (mode, status);
