-- The entries of acts that may have needed a second person: whether one was done is looked up by its request.
CREATE INDEX entries_of_guarded_acts ON entries (request_key) WHERE kind IN (1, 11, 12, 13, 24);

-- What has ended is forgotten in the order in which it was asked for.
CREATE INDEX approvals_by_age ON approvals (asked_at);
