-- How long audit records and documents are kept.

-- The records of a chain up to this place are no longer kept: the digest of the last of them, on which the first that is kept follows;
-- and, as hexadecimal text, the sum of the digests of what they had in common with the journal's entries. Empty: all are kept.
ALTER TABLE audit_chains ADD COLUMN dropped_to BIGINT NOT NULL DEFAULT 0;
ALTER TABLE audit_chains ADD COLUMN dropped_digest TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_chains ADD COLUMN dropped_sum TEXT NOT NULL DEFAULT '';

-- When the document's lines and customer were dropped, so that its digest cannot be worked out again: it stays, and the next one's covers
-- it. 0: it is kept.
ALTER TABLE issued ADD COLUMN dropped_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX issued_kept ON issued (issued_at, document) WHERE dropped_at = 0;

-- What the aggregator keeps, how long, and what has come of it.
CREATE TABLE retention (
    -- 'audit_records' or 'documents'.
    what TEXT NOT NULL PRIMARY KEY,
    -- For people: '730 days'; empty: for ever.
    term TEXT NOT NULL,
    -- What was before this has gone, where nothing needs it; 0: it is kept for ever.
    kept_since BIGINT NOT NULL,
    dropped BIGINT NOT NULL,
    last_dropped_at BIGINT NOT NULL
);
