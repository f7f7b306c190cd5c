-- Messages to the business's own application: they follow from a row and from no run, and say which row and, once that is
-- settled, which version of it. The fields are read when a message leaves. SQLite cannot take NOT NULL from a column, so
-- the table is made anew.
CREATE TABLE messages_0009 (
    id TEXT PRIMARY KEY,
    effect_key TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    event TEXT,
    run TEXT,
    occurrence TEXT,
    playbook TEXT,
    purpose TEXT,
    channel TEXT NOT NULL,
    customer TEXT,
    recipient TEXT,
    -- The address as caps compare it, across customers.
    recipient_key TEXT,
    message_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    text TEXT NOT NULL,
    html TEXT,
    notice TEXT,
    status TEXT NOT NULL,
    reason TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    lease_until INTEGER NOT NULL DEFAULT 0,
    epoch INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    -- When it was last being sent; caps count from here.
    tried_at INTEGER,
    sent_at INTEGER,
    waits_for_cap TEXT,
    object TEXT,
    -- Null for a message that is due when time alone changes its row: the end of a grace or of a hold.
    version INTEGER
) STRICT;
INSERT INTO messages_0009 (
    id, effect_key, account, livemode, event, run, occurrence, playbook, purpose, channel, customer, recipient,
    recipient_key, message_id, subject, text, html, notice, status, reason, attempts, not_before, expires_at,
    lease_until, epoch, created_at, tried_at, sent_at, waits_for_cap)
    SELECT
    id, effect_key, account, livemode, event, run, occurrence, playbook, purpose, channel, customer, recipient,
    recipient_key, message_id, subject, text, html, notice, status, reason, attempts, not_before, expires_at,
    lease_until, epoch, created_at, tried_at, sent_at, waits_for_cap FROM messages;
DROP TABLE messages;
ALTER TABLE messages_0009 RENAME TO messages;
CREATE INDEX messages_due ON messages (channel, not_before) WHERE status IN ('pending', 'sending');
CREATE INDEX messages_expiring ON messages (expires_at) WHERE status = 'pending';
CREATE INDEX messages_newest ON messages (created_at, id);
CREATE INDEX messages_of_run ON messages (run);
CREATE INDEX messages_of_event ON messages (event);
CREATE INDEX messages_of_recipient ON messages (recipient_key, tried_at) WHERE recipient_key IS NOT NULL;
CREATE INDEX messages_of_customer ON messages (account, livemode, customer, tried_at) WHERE channel = 'email' AND tried_at IS NOT NULL;
CREATE INDEX messages_of_playbook ON messages (account, livemode, playbook, tried_at) WHERE channel = 'email' AND tried_at IS NOT NULL;
CREATE INDEX messages_queued ON messages (account, livemode, playbook, not_before) WHERE status = 'pending' AND waits_for_cap = 'playbook';
CREATE INDEX messages_unsent ON messages (status, created_at, id) WHERE status IN ('unknown', 'failed', 'suppressed', 'expired', 'held', 'denied');
CREATE INDEX messages_of_object ON messages (account, livemode, object, version) WHERE channel = 'app';

-- The last version of what is gone, so that an order that comes back under its old id goes on counting.
CREATE TABLE former_objects (
    account TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (account, livemode, kind, id)
) STRICT;
