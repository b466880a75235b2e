-- Up to which entry of its partition the journal was taken in when an operator did it by hand.
ALTER TABLE allocations_by_hand ADD COLUMN after_entry BIGINT NOT NULL DEFAULT 0;
