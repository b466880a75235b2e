-- Who called is the actor; for whom it acted, as it said, stands beside it. Empty: for nobody else.

ALTER TABLE entries ADD COLUMN on_behalf_of TEXT NOT NULL DEFAULT '';
ALTER TABLE setting_changes ADD COLUMN on_behalf_of TEXT NOT NULL DEFAULT '';
ALTER TABLE allocations_by_hand ADD COLUMN on_behalf_of TEXT NOT NULL DEFAULT '';
ALTER TABLE lost_entries ADD COLUMN on_behalf_of TEXT NOT NULL DEFAULT '';
