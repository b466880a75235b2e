-- Books that prove themselves: issued documents are chained by digest within their series, and what pays what is summed up by digest.

-- The series that a document has its number from, and its place in it; 0: issued by an earlier version, and not chained yet.
ALTER TABLE issued ADD COLUMN prefix TEXT NOT NULL DEFAULT '';
ALTER TABLE issued ADD COLUMN place BIGINT NOT NULL DEFAULT 0;
-- Whom it is for, as JSON. It stands beside what is frozen, so that it can be erased together with the salt; its digest stays, and the
-- document's covers that alone.
ALTER TABLE issued ADD COLUMN customer TEXT NOT NULL DEFAULT '';
ALTER TABLE issued ADD COLUMN customer_salt TEXT NOT NULL DEFAULT '';
ALTER TABLE issued ADD COLUMN customer_digest TEXT NOT NULL DEFAULT '';
-- SHA-256, as hexadecimal text, of the document and of the digest of the one before it in its series.
ALTER TABLE issued ADD COLUMN digest TEXT NOT NULL DEFAULT '';

CREATE UNIQUE INDEX issued_in_series ON issued (prefix, place) WHERE digest <> '';
-- In the order of their numbers: of one series, a longer one is a later one.
CREATE INDEX issued_unchained ON issued (LENGTH(number), number) WHERE digest = '';

-- The digest of the last document of each series; empty: there is none.
ALTER TABLE series ADD COLUMN head TEXT NOT NULL DEFAULT '';

-- How many allocations each account has, and the sum of their digests: one that was changed, removed or added by hand is found.
CREATE TABLE allocation_sums (
    account TEXT NOT NULL PRIMARY KEY,
    count BIGINT NOT NULL,
    digest TEXT NOT NULL
);

-- Whether drafts are issued at once, some hours after their bill was cut, or when they are approved. No row: at once.
CREATE TABLE issuing (
    issuer TEXT NOT NULL PRIMARY KEY,
    -- 'at_once', 'after_hours' or 'on_approval'.
    review TEXT NOT NULL,
    grace_hours BIGINT NOT NULL
);

-- 0: nobody has approved it.
ALTER TABLE drafts ADD COLUMN approved_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX drafts_approved ON drafts (kind, cut_at, document) WHERE approved_at > 0;
CREATE INDEX drafts_of_document ON drafts (document);

-- Why a step of the aggregation fails again and again; empty: it does not.
ALTER TABLE partitions ADD COLUMN failing_because TEXT NOT NULL DEFAULT '';
ALTER TABLE partitions ADD COLUMN failing_since BIGINT NOT NULL DEFAULT 0;
