-- Accounts in an order, those of each mode and status by themselves; see PostgreSQL's beside this.
DROP INDEX accounts_by_usable;
DROP INDEX accounts_by_balance;
DROP INDEX accounts_by_due;
DROP INDEX accounts_raised;
CREATE INDEX accounts_by_kind_usable ON accounts (mode, status, usable_order, account, temporary_until);
CREATE INDEX accounts_by_kind_balance ON accounts (mode, status, balance_order, account);
CREATE INDEX accounts_by_kind_due ON accounts (mode, status, due_order, account);
CREATE INDEX accounts_by_kind_raised ON accounts (mode, status, raised_order, account, temporary_until) WHERE temporary_until > 0;
CREATE INDEX accounts_by_currency ON accounts (currency);
