-- The time zone whose months the ledger bills; empty until an aggregator of this version has taken the ledger.
ALTER TABLE ledger ADD COLUMN time_zone TEXT NOT NULL DEFAULT '';
