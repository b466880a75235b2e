-- What issued documents are found by, in PostgreSQL; SQLite's is beside this. The texts are folded (billing/search/fold.rs), and in the order
-- of their bytes, so that a beginning is a range. The index for parts of them is made when all are in (billing/search/prepare.rs).

-- The customer's name as on the document; and the number and the name, a line each. Empty: not in yet. If whom a document was for is erased,
-- the name is to be erased here, too.
ALTER TABLE issued ADD COLUMN folded_name TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE issued ADD COLUMN folded TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX issued_unfolded ON issued (document) WHERE folded = '';
CREATE INDEX issued_by_text ON issued (folded);
CREATE INDEX issued_by_name ON issued (folded_name);
