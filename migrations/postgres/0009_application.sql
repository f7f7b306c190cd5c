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
