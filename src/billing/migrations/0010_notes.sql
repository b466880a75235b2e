-- Refunds of billed charges that came to less than half a minor unit of the currency, so that nothing was credited for them: each stands
-- on the next credit note of its bill.
CREATE TABLE uncredited_refunds (
    account TEXT NOT NULL,
    -- The bill of the charge.
    bill BIGINT NOT NULL,
    -- The account's number of the entry.
    sequence BIGINT NOT NULL,
    -- Of the place in the journal of the entry, as a document's id is.
    place BIGINT NOT NULL,
    -- The credit note that it stands on; 0: none yet.
    note BIGINT NOT NULL,
    category BIGINT NOT NULL,
    item TEXT NOT NULL,
    unit TEXT NOT NULL,
    quantity TEXT NOT NULL,
    description TEXT NOT NULL,
    -- What was taken off the charge.
    amount BIGINT NOT NULL,
    time BIGINT NOT NULL,
    PRIMARY KEY (account, bill, sequence)
);

CREATE INDEX uncredited_refunds_of_note ON uncredited_refunds (note) WHERE note <> 0;
