-- The term in force, and what keeps it from being so: by the clock of who looked last, when that was; until when nothing goes; and why:
-- 'changed', 'clock', 'disputed' or nothing.
ALTER TABLE retention ADD COLUMN seen_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE retention ADD COLUMN waits_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE retention ADD COLUMN waits_for TEXT NOT NULL DEFAULT '';
