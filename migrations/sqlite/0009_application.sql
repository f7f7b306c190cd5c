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
CREATE INDEX messages_of_recipient ON messages (recipient_key, livemode, tried_at) WHERE recipient_key IS NOT NULL;
CREATE INDEX messages_of_customer ON messages (account, livemode, customer, tried_at) WHERE channel = 'email' AND tried_at IS NOT NULL;
CREATE INDEX messages_of_playbook ON messages (account, livemode, playbook, tried_at) WHERE channel = 'email' AND tried_at IS NOT NULL;
CREATE INDEX messages_queued ON messages (account, livemode, playbook, not_before) WHERE status = 'pending' AND waits_for_cap = 'playbook';
CREATE INDEX messages_unsent ON messages (status, created_at, id) WHERE status IN ('unknown', 'failed', 'suppressed', 'expired', 'held', 'denied');
CREATE INDEX messages_of_channel ON messages (channel, created_at, id);
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

-- What other programs may read, in a shape that stays: docs/views.md. The tables behind are billhook's own and change.
CREATE VIEW billhook_customers AS
    SELECT o.account, o.livemode, o.id, json_extract(o.data, '$.email') AS email, json_extract(o.data, '$.name') AS name, coalesce(json_extract(o.data, '$.deleted'), 0) AS deleted,
        strftime('%Y-%m-%dT%H:%M:%SZ', o.created / 1000000, 'unixepoch') AS created, o.version
    FROM objects o WHERE o.kind = 'customer';

CREATE VIEW billhook_access AS
    SELECT o.account, o.livemode, o.id AS customer, json_extract(o.data, '$.state') AS state, json_extract(o.data, '$.subscription') AS subscription, json_extract(o.data, '$.status') AS status,
        strftime('%Y-%m-%dT%H:%M:%SZ', json_extract(o.data, '$.since'), 'unixepoch') AS past_due_since,
        json_extract(o.data, '$.reason') AS reason, o.version, coalesce(json_array_length(o.data, '$.lost_disputes'), 0) AS lost_disputes
    FROM objects o WHERE o.kind = 'access';

CREATE VIEW billhook_orders AS
    SELECT o.account, o.livemode, o.id, o.customer, json_extract(o.data, '$.status') AS status, json_extract(o.data, '$.amount') AS amount,
        json_extract(o.data, '$.amount_refunded') AS amount_refunded, json_extract(o.data, '$.currency') AS currency,
        coalesce(json_array_length(o.data, '$.holds'), 0) > 0 OR EXISTS (SELECT 1 FROM holds h WHERE h.account = o.account AND h.livemode = o.livemode AND h.released_at IS NULL
            AND h.ends_at > unixepoch('subsec') * 1000000
            AND (h.order_id = o.id OR h.order_id IN (SELECT a.alias FROM order_aliases a
                WHERE a.account = o.account AND a.livemode = o.livemode AND a.order_id = o.id))) AS on_hold,
        strftime('%Y-%m-%dT%H:%M:%SZ', o.created / 1000000, 'unixepoch') AS created, o.version
    FROM objects o WHERE o.kind = 'order';

CREATE VIEW billhook_subscriptions AS
    SELECT o.account, o.livemode, o.id, o.customer, json_extract(o.data, '$.status') AS status, json_extract(o.data, '$.plan') AS plan,
        strftime('%Y-%m-%dT%H:%M:%SZ', json_extract(o.data, '$.current_period_end'), 'unixepoch') AS current_period_end,
        coalesce(json_extract(o.data, '$.cancel_at_period_end'), 0) AS cancel_at_period_end,
        CASE WHEN json_extract(o.data, '$.status') = 'past_due' THEN strftime('%Y-%m-%dT%H:%M:%SZ', json_extract(o.data, '$.past_due_since'), 'unixepoch') END AS past_due_since,
        strftime('%Y-%m-%dT%H:%M:%SZ', json_extract(o.data, '$.ended_at'), 'unixepoch') AS ended_at,
        strftime('%Y-%m-%dT%H:%M:%SZ', o.created / 1000000, 'unixepoch') AS created, o.version
    FROM objects o WHERE o.kind = 'subscription';

CREATE VIEW billhook_invoices AS
    SELECT o.account, o.livemode, o.id, o.customer, json_extract(o.data, '$.subscription') AS subscription, json_extract(o.data, '$.status') AS status,
        json_extract(o.data, '$.attempt_count') AS attempt_count, json_extract(o.data, '$.amount_due') AS amount_due,
        json_extract(o.data, '$.amount_paid') AS amount_paid, json_extract(o.data, '$.currency') AS currency,
        strftime('%Y-%m-%dT%H:%M:%SZ', json_extract(o.data, '$.next_payment_attempt'), 'unixepoch') AS next_payment_attempt,
        strftime('%Y-%m-%dT%H:%M:%SZ', o.created / 1000000, 'unixepoch') AS created, o.version
    FROM objects o WHERE o.kind = 'invoice';

CREATE VIEW billhook_disputes AS
    SELECT o.account, o.livemode, o.id, json_extract(o.data, '$.charge') AS charge, json_extract(o.data, '$.payment_intent') AS payment_intent,
        json_extract(o.data, '$.status') AS status, json_extract(o.data, '$.reason') AS reason,
        json_extract(o.data, '$.amount') AS amount, json_extract(o.data, '$.currency') AS currency,
        strftime('%Y-%m-%dT%H:%M:%SZ', json_extract(o.data, '$.due_by'), 'unixepoch') AS due_by,
        strftime('%Y-%m-%dT%H:%M:%SZ', o.created / 1000000, 'unixepoch') AS created, o.version
    FROM objects o WHERE o.kind = 'dispute';

CREATE VIEW billhook_ledger AS
    SELECT l.account, l.livemode, l.id, l.kind AS type, l.source, l.source_kind AS source_object, l.amount, l.fee, l.currency,
        strftime('%Y-%m-%dT%H:%M:%SZ', l.created / 1000000, 'unixepoch') AS created
    FROM ledger l;
