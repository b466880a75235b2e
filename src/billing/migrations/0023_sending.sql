-- Mail to customers: what is sent, to whom, and what became of it.

-- How mail is sent, of the one issuer.
CREATE TABLE sending (
    issuer TEXT NOT NULL PRIMARY KEY,
    is_enabled BIGINT NOT NULL,
    -- The other settings, as JSON.
    content TEXT NOT NULL
);

-- What differs for an account, as JSON.
CREATE TABLE account_sending (
    account TEXT NOT NULL PRIMARY KEY,
    content TEXT NOT NULL
);

-- Where this store was when mail was last sent from it: a copy, which does not know what was sent since it was made, is found by that.
CREATE TABLE sending_place (
    issuer TEXT NOT NULL PRIMARY KEY,
    place TEXT NOT NULL,
    -- Since when nothing is sent, because this may be a copy; 0: it goes on.
    held_since BIGINT NOT NULL
);

-- One row for each mail. Documents that were issued before this table have none, and are never sent by themselves.
CREATE TABLE mails (
    -- A digest of what is sent, to whom, and on which occasion: also the Message-ID.
    id TEXT NOT NULL PRIMARY KEY,
    -- 'document', 'receipt', 'reminder'.
    kind TEXT NOT NULL,
    -- 0: it is about none.
    document BIGINT NOT NULL,
    -- Of a receipt: the account's number of the payment; else 0.
    credit BIGINT NOT NULL,
    account TEXT NOT NULL,
    -- Empty: no address was known.
    recipient TEXT NOT NULL,
    -- Empty: what is sent by itself, once; else the request that it was sent again for, or the day of a reminder.
    occasion TEXT NOT NULL,
    -- 'waiting', 'sending', 'sent', 'deferred', 'failed', 'bounced', 'unknown', 'off'.
    state TEXT NOT NULL,
    -- 1 once the server may have taken it, though nobody has heard so.
    phase BIGINT NOT NULL,
    -- Raised by each claim, so that a process that has lost it writes nothing.
    fence BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    -- By the database's time.
    next_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    sent_at BIGINT NOT NULL,
    -- The server's last reply, or why it is as it is.
    detail TEXT NOT NULL
);

CREATE INDEX mails_due ON mails (next_at, id) WHERE state IN ('waiting', 'deferred');
CREATE INDEX mails_under_way ON mails (lease_until) WHERE state = 'sending';
CREATE INDEX mails_of_document ON mails (document, created_at, id) WHERE document <> 0;
CREATE INDEX mails_of_account ON mails (account, created_at, id);
CREATE INDEX mails_by_state ON mails (state, created_at, id);
CREATE INDEX mails_by_time ON mails (created_at, id);
