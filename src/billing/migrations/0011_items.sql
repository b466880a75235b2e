-- What documents call items, and what a unit of them costs.

-- What all charges of a total cost for each unit (without a quantity: each of them), in units of the account; empty: they differ, or nobody
-- looked yet.
ALTER TABLE totals ADD COLUMN unit_price TEXT NOT NULL DEFAULT '';

-- The names of items on an issuer's documents. Fixed on a document when it is issued.
CREATE TABLE item_names (
    issuer TEXT NOT NULL,
    item TEXT NOT NULL,
    -- Empty: of all languages that have no name of their own.
    language TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (issuer, item, language)
);

-- Pictures of issuers, by the digest of their content. Rows are only added: issued documents name them.
CREATE TABLE logos (
    digest TEXT NOT NULL PRIMARY KEY,
    media_type TEXT NOT NULL,
    -- In base64.
    content TEXT NOT NULL
);
