-- Which invoice a line of a bank statement was said to pay, when it was tried last, and the movement that it is of (day, amount, currency):
-- from another form of the statement the same movement may have another digest.
ALTER TABLE bank_lines ADD COLUMN invoice TEXT NOT NULL DEFAULT '';
ALTER TABLE bank_lines ADD COLUMN tried_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE bank_lines ADD COLUMN movement TEXT NOT NULL DEFAULT '';
CREATE INDEX bank_lines_by_movement ON bank_lines (movement);
