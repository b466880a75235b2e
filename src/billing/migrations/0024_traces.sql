-- Where the traces of a bill are: of each item, that of the newest charge that was sampled ('item:CODE'); and of its documents, where they
-- were issued ('document:ID'). A place is a trace and a span, in hexadecimal.
CREATE TABLE traces (
    account TEXT NOT NULL,
    bill BIGINT NOT NULL,
    subject TEXT NOT NULL,
    place TEXT NOT NULL,
    PRIMARY KEY (account, bill, subject)
);
