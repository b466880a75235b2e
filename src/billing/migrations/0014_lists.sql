-- Lists: each is read along an index, page by page.

-- A document without its lines, which is all that lists show. Empty, of documents that earlier versions drafted: the content stands for it.
ALTER TABLE documents ADD COLUMN summary TEXT NOT NULL DEFAULT '';
-- When an invoice is to be paid, as it was issued; 0: it is not issued yet.
ALTER TABLE payables ADD COLUMN due_at BIGINT NOT NULL DEFAULT 0;
UPDATE payables SET due_at = COALESCE((SELECT issued.due_at FROM issued WHERE issued.document = payables.document), 0);

DROP INDEX documents_held;
CREATE INDEX documents_held ON documents (cut_at, id) WHERE held_reason <> '';
CREATE INDEX documents_by_kind ON documents (kind, cut_at, id);
CREATE INDEX drafts_by_time ON drafts (cut_at, document);
CREATE INDEX payables_unpaid ON payables (cut_at, document) WHERE open_amount > 0;
CREATE INDEX payables_due ON payables (due_at, document) WHERE open_amount > 0 AND due_at > 0;
CREATE INDEX issued_due ON issued (due_at, document) WHERE due_at > 0;
