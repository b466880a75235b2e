-- Which accounts were ever converted: of an earlier day, only those and the postpaid ones may have owed anything.
CREATE INDEX entries_that_convert ON entries (account) WHERE kind = 13;
