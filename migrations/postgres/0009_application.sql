-- Messages to the business's own application: they follow from a row and from no run, and say which row and, once that is
-- settled, which version of it. The fields are read when a message leaves.
ALTER TABLE messages ALTER COLUMN event DROP NOT NULL;
ALTER TABLE messages ALTER COLUMN run DROP NOT NULL;
ALTER TABLE messages ALTER COLUMN occurrence DROP NOT NULL;
ALTER TABLE messages ALTER COLUMN playbook DROP NOT NULL;
ALTER TABLE messages ALTER COLUMN purpose DROP NOT NULL;
ALTER TABLE messages ADD COLUMN object TEXT;
-- Null for a message that is due when time alone changes its row: the end of a grace or of a hold.
ALTER TABLE messages ADD COLUMN version BIGINT;
CREATE INDEX messages_of_channel ON messages (channel, created_at, id);
CREATE INDEX messages_of_object ON messages (account, livemode, object, version) WHERE channel = 'app';

-- The last version of what is gone, so that an order that comes back under its old id goes on counting.
CREATE TABLE former_objects (
    account TEXT NOT NULL,
    livemode BIGINT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (account, livemode, kind, id)
);

-- What other programs may read, in a shape that stays: docs/views.md. The tables behind are billhook's own and change.
CREATE FUNCTION billhook_time(seconds BIGINT) RETURNS TIMESTAMPTZ
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT CASE WHEN seconds BETWEEN 0 AND 253402300799 THEN to_timestamp(seconds) END $$;

CREATE VIEW billhook_customers AS
    SELECT o.account, o.livemode = 1 AS livemode, o.id, d.email, d.name, coalesce(d.deleted, false) AS deleted,
        billhook_time(o.created / 1000000) AS created, o.version
    FROM objects o CROSS JOIN LATERAL jsonb_to_record(o.data::jsonb) AS d (email TEXT, name TEXT, deleted BOOLEAN)
    WHERE o.kind = 'customer';

CREATE VIEW billhook_access AS
    SELECT o.account, o.livemode = 1 AS livemode, o.id AS customer, d.state, d.subscription, d.status,
        billhook_time(d.since) AS past_due_since, d.reason, o.version, coalesce(jsonb_array_length(d.lost_disputes), 0)::BIGINT AS lost_disputes
    FROM objects o CROSS JOIN LATERAL jsonb_to_record(o.data::jsonb)
        AS d (state TEXT, subscription TEXT, status TEXT, since BIGINT, reason TEXT, lost_disputes JSONB)
    WHERE o.kind = 'access';

CREATE VIEW billhook_orders AS
    SELECT o.account, o.livemode = 1 AS livemode, o.id, o.customer, d.status, d.amount, d.amount_refunded, d.currency,
        coalesce(jsonb_array_length(d.holds), 0) > 0 OR EXISTS (SELECT 1 FROM holds h WHERE h.account = o.account AND h.livemode = o.livemode AND h.released_at IS NULL
            AND h.ends_at > extract(epoch FROM now()) * 1000000
            AND (h.order_id = o.id OR h.order_id IN (SELECT a.alias FROM order_aliases a
                WHERE a.account = o.account AND a.livemode = o.livemode AND a.order_id = o.id))) AS on_hold,
        billhook_time(o.created / 1000000) AS created, o.version
    FROM objects o CROSS JOIN LATERAL jsonb_to_record(o.data::jsonb) AS d (status TEXT, amount BIGINT, amount_refunded BIGINT, currency TEXT, holds JSONB)
    WHERE o.kind = 'order';

CREATE VIEW billhook_subscriptions AS
    SELECT o.account, o.livemode = 1 AS livemode, o.id, o.customer, d.status, d.plan,
        billhook_time(d.current_period_end) AS current_period_end, coalesce(d.cancel_at_period_end, false) AS cancel_at_period_end,
        CASE WHEN d.status = 'past_due' THEN billhook_time(d.past_due_since) END AS past_due_since,
        billhook_time(d.ended_at) AS ended_at, billhook_time(o.created / 1000000) AS created, o.version
    FROM objects o CROSS JOIN LATERAL jsonb_to_record(o.data::jsonb)
        AS d (status TEXT, plan TEXT, current_period_end BIGINT, cancel_at_period_end BOOLEAN, past_due_since BIGINT, ended_at BIGINT)
    WHERE o.kind = 'subscription';

CREATE VIEW billhook_invoices AS
    SELECT o.account, o.livemode = 1 AS livemode, o.id, o.customer, d.subscription, d.status, d.attempt_count,
        d.amount_due, d.amount_paid, d.currency, billhook_time(d.next_payment_attempt) AS next_payment_attempt,
        billhook_time(o.created / 1000000) AS created, o.version
    FROM objects o CROSS JOIN LATERAL jsonb_to_record(o.data::jsonb)
        AS d (subscription TEXT, status TEXT, attempt_count BIGINT, amount_due BIGINT, amount_paid BIGINT, currency TEXT, next_payment_attempt BIGINT)
    WHERE o.kind = 'invoice';

CREATE VIEW billhook_disputes AS
    SELECT o.account, o.livemode = 1 AS livemode, o.id, d.charge, d.payment_intent, d.status, d.reason, d.amount, d.currency,
        billhook_time(d.due_by) AS due_by, billhook_time(o.created / 1000000) AS created, o.version
    FROM objects o CROSS JOIN LATERAL jsonb_to_record(o.data::jsonb)
        AS d (charge TEXT, payment_intent TEXT, status TEXT, reason TEXT, amount BIGINT, currency TEXT, due_by BIGINT)
    WHERE o.kind = 'dispute';

CREATE VIEW billhook_ledger AS
    SELECT l.account, l.livemode = 1 AS livemode, l.id, l.kind AS type, l.source, l.source_kind AS source_object, l.amount, l.fee, l.currency,
        billhook_time(l.created / 1000000) AS created
    FROM ledger l;
