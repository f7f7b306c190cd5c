-- What is to be asked of Stripe's API: one row for each object and reason, kept when it is over and taken up again when the
-- reason comes back.
CREATE TABLE fetches (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    -- What the event that asked would have an API call send as Stripe-Context.
    context TEXT,
    reason TEXT NOT NULL,
    kind TEXT NOT NULL,
    object TEXT NOT NULL,
    -- The event that asked last.
    event TEXT NOT NULL,
    status TEXT NOT NULL,
    last_error TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL,
    lease_until INTEGER NOT NULL DEFAULT 0,
    epoch INTEGER NOT NULL DEFAULT 0,
    asked_at INTEGER NOT NULL,
    ended_at INTEGER,
    UNIQUE (account, livemode, kind, object, reason)
) STRICT;
CREATE INDEX fetches_due ON fetches (livemode, not_before) WHERE status IN ('pending', 'denied');
-- Asked with each new question: whether its kind may be asked at all.
CREATE INDEX fetches_denied ON fetches (reason, kind, livemode, not_before) WHERE status = 'denied';
CREATE INDEX fetches_given_up ON fetches (ended_at, id) WHERE status = 'given_up';

-- The mails of one address in one mode: a test mail uses up no room of a live one.
DROP INDEX messages_of_recipient;
CREATE INDEX messages_of_recipient ON messages (recipient_key, livemode, tried_at) WHERE recipient_key IS NOT NULL;

-- The objects of one account and mode, newest first, where several share a database.
CREATE INDEX objects_of_account ON objects (account, livemode, kind, created, id);
