-- Lines of bank statements that are booked as payments, or about to be: each for one account.

CREATE TABLE bank_lines (
    -- Of what the bank says of it.
    digest TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    -- When its payment was first sent to the ledger.
    begun_at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    attempts BIGINT NOT NULL
);
