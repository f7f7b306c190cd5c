-- Movements of money that Stripe's objects tell of, each under Stripe's own id. The rows of one object are written anew
-- from all of its snapshots; an amount is what the balance at Stripe gains.
CREATE TABLE ledger (
    account TEXT NOT NULL,
    livemode BIGINT NOT NULL,
    source_kind TEXT NOT NULL,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    amount BIGINT NOT NULL,
    fee BIGINT,
    currency TEXT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (account, livemode, source_kind, source, id)
);
CREATE INDEX ledger_newest ON ledger (created, id, account, livemode, source_kind, source);
CREATE INDEX ledger_of_account ON ledger (account, livemode, created, id, source_kind, source);
CREATE INDEX ledger_of_source ON ledger (source, created, id, account, livemode, source_kind);
CREATE INDEX ledger_by_id ON ledger (id);
