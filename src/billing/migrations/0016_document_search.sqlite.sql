-- What issued documents are found by, in SQLite; see PostgreSQL's beside this.
ALTER TABLE issued ADD COLUMN folded_name TEXT NOT NULL DEFAULT '';
ALTER TABLE issued ADD COLUMN folded TEXT NOT NULL DEFAULT '';
CREATE INDEX issued_unfolded ON issued (document) WHERE folded = '';
