-- What operators have written in place of the usual mails: all versions; the last of a kind and a language is in force.
CREATE TABLE mail_templates (
    -- 'invoice', 'statement', 'credit_note', 'receipt', 'reminder', 'low_credit'.
    kind TEXT NOT NULL,
    language TEXT NOT NULL,
    version BIGINT NOT NULL,
    -- Subject, text and page, as JSON; empty: the usual mail again.
    content TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (kind, language, version)
);
