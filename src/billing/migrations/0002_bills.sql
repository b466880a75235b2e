-- The bills: documents, their numbers, what is open and what paid it.

-- A document, as it was worked out when its bill was cut. Rows are only added; one that was held back is worked out again.
CREATE TABLE documents (
    -- Of the place in the journal of the entry that cut it.
    id BIGINT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    bill BIGINT NOT NULL,
    kind TEXT NOT NULL,
    cause TEXT NOT NULL,
    cut_at BIGINT NOT NULL,
    -- Why it is held back; empty: it is not.
    held_reason TEXT NOT NULL,
    total BIGINT NOT NULL,
    amount_to_pay BIGINT NOT NULL,
    -- Of a credit note: the invoice; 0: none.
    refers_to BIGINT NOT NULL,
    -- The document as JSON, without what is frozen when it is issued.
    content TEXT NOT NULL
);

-- Each bill is billed once.
CREATE UNIQUE INDEX documents_of_bill ON documents (account, bill) WHERE kind <> 'credit_note';
CREATE INDEX documents_by_time ON documents (cut_at, id);
CREATE INDEX documents_of_account ON documents (account, cut_at, id);
CREATE INDEX documents_held ON documents (id) WHERE held_reason <> '';

-- Good documents that wait for their number.
CREATE TABLE drafts (
    kind TEXT NOT NULL,
    cut_at BIGINT NOT NULL,
    document BIGINT NOT NULL,
    PRIMARY KEY (kind, cut_at, document)
);

-- What became of documents when they were issued. Rows are only added, and never change.
CREATE TABLE issued (
    document BIGINT NOT NULL PRIMARY KEY,
    number TEXT NOT NULL UNIQUE,
    issued_at BIGINT NOT NULL,
    -- 0: there is nothing to pay.
    due_at BIGINT NOT NULL,
    tax_contained BIGINT NOT NULL,
    tax_on_deducted BIGINT NOT NULL,
    -- Issuer, customer, tax rate, time zone and the number of the document referred to, as JSON.
    frozen TEXT NOT NULL
);

-- The last place that was given in each series. Changed last in the transaction that issues.
CREATE TABLE series (
    prefix TEXT NOT NULL PRIMARY KEY,
    last_place BIGINT NOT NULL
);

-- What invoices lack.
CREATE TABLE payables (
    document BIGINT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    cut_at BIGINT NOT NULL,
    total BIGINT NOT NULL,
    open_amount BIGINT NOT NULL
);

CREATE INDEX payables_open ON payables (account) WHERE open_amount > 0;

-- What was paid in, given back or corrected in the customer's favour: what can pay invoices.
CREATE TABLE credits (
    account TEXT NOT NULL,
    -- The account's number of the entry.
    sequence BIGINT NOT NULL,
    request_id TEXT NOT NULL,
    time BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    allocated BIGINT NOT NULL,
    reversed BIGINT NOT NULL,
    PRIMARY KEY (account, sequence)
);

CREATE INDEX credits_by_request ON credits (account, request_id);

-- What credits have paid; negative: no longer pay. Rows are only added.
CREATE TABLE allocations (
    account TEXT NOT NULL,
    -- The account's number of the entry that led to it.
    sequence BIGINT NOT NULL,
    credit BIGINT NOT NULL,
    document BIGINT NOT NULL,
    time BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (account, sequence, credit, document)
);

CREATE INDEX allocations_of_document ON allocations (document);

-- Refunds, with what had been charged.
CREATE TABLE refunds (
    account TEXT NOT NULL,
    bill BIGINT NOT NULL,
    -- The account's number of the entry.
    sequence BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    -- 0: the charge is not known.
    charge_kind BIGINT NOT NULL,
    category BIGINT NOT NULL,
    item TEXT NOT NULL,
    unit TEXT NOT NULL,
    quantity TEXT NOT NULL,
    description TEXT NOT NULL,
    amount BIGINT NOT NULL,
    time BIGINT NOT NULL,
    PRIMARY KEY (account, bill, sequence)
);

-- Where each account's bills have come to: the last one cut at a period's end or by a conversion, and what followed.
CREATE TABLE bill_ends (
    account TEXT NOT NULL PRIMARY KEY,
    balance BIGINT NOT NULL,
    -- The bill within which the account was converted to postpaid; 0: none.
    converted_bill BIGINT NOT NULL,
    -- What bills of single charges have moved since.
    single_charged BIGINT NOT NULL,
    single_rounded BIGINT NOT NULL
);

-- Billing details of customers.
CREATE TABLE customers (
    account TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    -- A JSON array of lines.
    address TEXT NOT NULL,
    tax_id TEXT NOT NULL,
    email TEXT NOT NULL
);
