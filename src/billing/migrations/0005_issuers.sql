-- Who issues documents, and the tax. Each setting holds from a day (of the billing time zone) on, until a later one does.

CREATE TABLE issuers (
    issuer TEXT NOT NULL,
    -- "2026-07-01".
    valid_from TEXT NOT NULL,
    -- Name, address, tax id, ways to pay and so on, as JSON.
    content TEXT NOT NULL,
    PRIMARY KEY (issuer, valid_from)
);

CREATE TABLE tax_rates (
    issuer TEXT NOT NULL,
    -- 0: all categories that have no rate of their own.
    category BIGINT NOT NULL,
    valid_from TEXT NOT NULL,
    -- In percent, as a decimal; empty: no tax is shown.
    rate TEXT NOT NULL,
    PRIMARY KEY (issuer, category, valid_from)
);

-- Accounts that are charged no tax.
CREATE TABLE exemptions (
    account TEXT NOT NULL,
    valid_from TEXT NOT NULL,
    -- As JSON: of what kind, and why; null: from then on tax is charged.
    content TEXT NOT NULL,
    PRIMARY KEY (account, valid_from)
);

-- Who has changed which settings, and why. Rows are only added. A request that comes again is found here.
CREATE TABLE setting_changes (
    -- 'issuer main', 'account acme'.
    subject TEXT NOT NULL,
    request_id TEXT NOT NULL,
    -- What was asked for.
    content TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (subject, request_id)
);

-- What a draft waits for before it is issued; empty: nothing. Looked at again when a setting changes.
ALTER TABLE drafts ADD COLUMN waits_for TEXT NOT NULL DEFAULT '';

CREATE INDEX drafts_ready ON drafts (kind, cut_at, document) WHERE waits_for = '';
CREATE INDEX documents_correcting ON documents (refers_to) WHERE refers_to <> 0;
