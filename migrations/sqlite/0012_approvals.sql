-- What waits for a person's word: each message, and each other effect, that a model proposed under a playbook whose mode is
-- `approve`.
CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    effect_key TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    event TEXT NOT NULL,
    run TEXT NOT NULL,
    occurrence TEXT NOT NULL,
    customer TEXT,
    playbook TEXT NOT NULL,
    -- Which facts end what is held, and what is done in its place.
    purpose TEXT NOT NULL,
    tool TEXT NOT NULL,
    -- The message that is held; else the effect as it would be written.
    message TEXT,
    action TEXT,
    -- What is owed by rule under the same key, made ready together with it: done if nobody approves.
    fallback TEXT,
    -- Of everything that would leave: who approves names it.
    hash TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    decided_at INTEGER,
    decided_by TEXT
) STRICT;
CREATE INDEX approvals_due ON approvals (status, expires_at) WHERE status = 'held';
CREATE INDEX approvals_newest ON approvals (created_at, id);
CREATE INDEX approvals_of_status ON approvals (status, created_at, id);
CREATE INDEX approvals_of_occurrence ON approvals (occurrence);
CREATE INDEX approvals_of_message ON approvals (message) WHERE message IS NOT NULL;
