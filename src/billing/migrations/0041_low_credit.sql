-- Accounts whose usable credit is below the threshold that they have set: each falls below it once, until it is above it again.
CREATE TABLE low_credit (
    account TEXT NOT NULL PRIMARY KEY,
    since BIGINT NOT NULL
);
