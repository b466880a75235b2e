-- What operators note on an account: never on a document, and erased with the customer. A note has the id of the request that added it.
CREATE TABLE account_notes (
    account TEXT NOT NULL,
    note TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    on_behalf_of TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (account, note)
);
CREATE INDEX account_notes_by_time ON account_notes (account, added_at, note);
