-- The mails that wait for a playbook's cap, by their slots, and the messages that ended otherwise than sent, which are
-- counted and listed. By itself, so that on PostgreSQL reading goes on while they are built.
CREATE INDEX messages_queued ON messages (account, livemode, playbook, not_before) WHERE status = 'pending' AND waits_for_cap = 'playbook';
CREATE INDEX messages_unsent ON messages (status, created_at, id) WHERE status IN ('unknown', 'failed', 'suppressed', 'expired', 'held', 'denied');
