-- Users who sign in at an identity provider: whom it means, for ever. What they may do is an array: one grant for each value of their claim.
ALTER TABLE users ADD COLUMN issuer TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN subject TEXT NOT NULL DEFAULT '';

CREATE UNIQUE INDEX users_of_providers ON users (issuer, subject) WHERE issuer <> '';
