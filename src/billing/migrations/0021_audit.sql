-- Who did what. A chain for each partition, which the aggregator's step writes; and one, -1, for what no journal tells: settings, access,
-- refusals, starts. Each record carries a digest of itself and of the one before it in its chain.
CREATE TABLE audit (
    chain BIGINT NOT NULL,
    -- From 1 on, without a gap.
    place BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    on_behalf_of TEXT NOT NULL,
    -- 'account.limit_set', 'issuer.set'.
    action TEXT NOT NULL,
    -- Empty: it is about no account.
    account TEXT NOT NULL,
    -- 'DONE', 'REFUSED' or 'FAILED'.
    outcome TEXT NOT NULL,
    request_id TEXT NOT NULL,
    -- The journal's entry that it follows from; 0: from none.
    sequence BIGINT NOT NULL,
    -- Protocol, address and trace.
    origin TEXT NOT NULL,
    -- As JSON: before, after, amount and so on.
    content TEXT NOT NULL,
    -- As JSON: names, addresses, reasons. Covered by a digest of its own, with a random salt, so that both can be erased.
    personal TEXT NOT NULL,
    salt TEXT NOT NULL,
    personal_digest TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (chain, place)
);

CREATE INDEX audit_by_time ON audit (at, chain, place);
CREATE INDEX audit_by_account ON audit (account, at, chain, place);
CREATE INDEX audit_by_actor ON audit (actor, at, chain, place);
CREATE INDEX audit_by_action ON audit (action, at, chain, place);
CREATE INDEX audit_not_done ON audit (outcome, at, chain, place) WHERE outcome <> 'DONE';

CREATE TABLE audit_chains (
    chain BIGINT NOT NULL PRIMARY KEY,
    last_place BIGINT NOT NULL,
    -- The digest of the last record.
    head TEXT NOT NULL,
    -- The first entry, and the first reconciliation, that came when there were records.
    since_sequence BIGINT NOT NULL,
    since_reconciliation BIGINT NOT NULL
);

INSERT INTO audit_chains (chain, last_place, head, since_sequence, since_reconciliation)
    SELECT partition, 0, '', next_sequence, (SELECT COALESCE(MAX(id), 0) + 1 FROM reconciliations) FROM partitions;

-- How the request of an entry came: protocol, address and trace. Charges do not say it.
ALTER TABLE entries ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE lost_entries ADD COLUMN origin TEXT NOT NULL DEFAULT '';
