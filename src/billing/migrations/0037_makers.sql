-- Who has let in whom, which says whether one is a second person beside the other. Empty where nobody knows, as of users from before.
ALTER TABLE callers ADD COLUMN created_for TEXT NOT NULL DEFAULT '';

-- The last link that signs in as the user: when it was made, by whom, and on whose behalf.
ALTER TABLE users ADD COLUMN invited_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN invited_by TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN invited_for TEXT NOT NULL DEFAULT '';
