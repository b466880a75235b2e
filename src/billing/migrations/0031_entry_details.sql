-- How long what callers sent along in entries is kept: descriptions, attributes and reasons.

-- How far each partition's entries were looked through. Those behind are looked at when they are old enough.
CREATE TABLE entry_details (
    partition BIGINT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL
);

-- Entries in front of that place that were old enough, and whose bill was open or had no document yet.
CREATE TABLE entry_details_needed (
    account TEXT NOT NULL,
    bill BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    partition BIGINT NOT NULL,
    -- The account's number of the entry.
    account_sequence BIGINT NOT NULL,
    PRIMARY KEY (account, bill, sequence)
);

CREATE INDEX lost_entries_kept ON lost_entries (time) WHERE description <> '' OR attributes <> '' OR reason <> '';
CREATE INDEX allocations_by_hand_kept ON allocations_by_hand (at) WHERE reason <> '';
