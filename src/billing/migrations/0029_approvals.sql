-- Acts that need a second person: from which figures on, and those that were asked for. The figures are copied into the ledger's store with
-- who may call, and are looked up there.
CREATE TABLE approval_figures (
    -- 'write_off', 'adjust' or 'raise_limit'.
    act TEXT NOT NULL,
    currency TEXT NOT NULL,
    -- A decimal: what is above it needs approval.
    above TEXT NOT NULL,
    PRIMARY KEY (act, currency)
);

CREATE TABLE approvals (
    id BIGINT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    -- The name under which it is done.
    request_id TEXT NOT NULL,
    act TEXT NOT NULL,
    currency TEXT NOT NULL,
    -- A decimal; empty: all that there is.
    amount TEXT NOT NULL,
    -- What is to be done, in JSON.
    command TEXT NOT NULL,
    -- The caller that asked, in JSON, its name, for whom it asked, why, and how the request came.
    asker TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    asked_for TEXT NOT NULL,
    reason TEXT NOT NULL,
    origin TEXT NOT NULL,
    asked_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    -- 'waiting'; 'approved': it is done, or about to be; 'done', 'failed', 'rejected', 'expired'.
    state TEXT NOT NULL,
    -- The same of who decided, with the name of the request.
    decided_by TEXT NOT NULL DEFAULT '',
    decided_for TEXT NOT NULL DEFAULT '',
    decided_reason TEXT NOT NULL DEFAULT '',
    decided_request_id TEXT NOT NULL DEFAULT '',
    -- 0: nobody has.
    decided_at BIGINT NOT NULL DEFAULT 0,
    -- Why it could not be done.
    failure TEXT NOT NULL DEFAULT '',
    UNIQUE (account, request_id)
);

CREATE INDEX approvals_by_state ON approvals (state, ends_at);

-- The last number that was given. Who asks counts it up first, so that of two at once one waits for the other.
CREATE TABLE approvals_counter (id BIGINT NOT NULL PRIMARY KEY, last BIGINT NOT NULL);

INSERT INTO approvals_counter (id, last) VALUES (1, 0);
