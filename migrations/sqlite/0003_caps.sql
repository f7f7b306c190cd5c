-- What caps look at: the last mails of a customer and of a playbook, and the slots that a playbook's waiting mails have.
CREATE INDEX messages_of_customer ON messages (account, livemode, customer, tried_at) WHERE channel = 'email' AND tried_at IS NOT NULL;
CREATE INDEX messages_of_playbook ON messages (account, livemode, playbook, tried_at) WHERE channel = 'email' AND tried_at IS NOT NULL;
CREATE INDEX messages_postponed ON messages (account, livemode, playbook, not_before) WHERE channel = 'email' AND status = 'pending';
