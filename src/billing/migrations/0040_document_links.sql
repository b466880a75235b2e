-- Links by which customers look at a document without an account.
CREATE TABLE document_links (
    -- At random. Who has it, but not the signature, has nothing.
    id TEXT NOT NULL PRIMARY KEY,
    document BIGINT NOT NULL,
    account TEXT NOT NULL,
    -- The mail that it was made for; empty if an operator made it.
    mail TEXT NOT NULL,
    -- The request that made it, and who asked; empty if a mail did.
    request_id TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- 0: it is not.
    revoked_at BIGINT NOT NULL
);

CREATE INDEX document_links_of_document ON document_links (document, created_at, id);
CREATE INDEX document_links_of_account ON document_links (account);

-- What links are signed with.
CREATE TABLE link_keys (
    issuer TEXT NOT NULL PRIMARY KEY,
    key TEXT NOT NULL
);
