-- Mailboxes that are never written to, in the form that caps count by, and why.
CREATE TABLE suppressions (
    id TEXT PRIMARY KEY,
    recipient_key TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX suppressions_of_recipient ON suppressions (recipient_key);
CREATE INDEX suppressions_newest ON suppressions (created_at, id);
