-- What models used. Of a run in its own row, so that it counts before the run is over; of a customer's day in the row of their
-- lane, which whoever decides has locked anyway: neither grows with time. Costs are millionths of the currency's unit, and
-- those of another currency than the configured one are not added to.
ALTER TABLE runs ADD COLUMN replies INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN calls INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN input_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN output_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN cached_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN reasoning_tokens INTEGER NOT NULL DEFAULT 0;
-- Replies whose tokens are estimates, and replies whose price is not known.
ALTER TABLE runs ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN unpriced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN cost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN cost_currency TEXT;

-- The day is counted from 1970, in UTC.
ALTER TABLE lanes ADD COLUMN spent_day INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lanes ADD COLUMN spent_replies INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lanes ADD COLUMN spent_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lanes ADD COLUMN spent_cost INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lanes ADD COLUMN spent_currency TEXT;

-- Of everybody's day in several rows, which are added up when they are read: a single one would have every commit of a reply
-- wait for the one before it.
CREATE TABLE spending (
    day INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    currency TEXT NOT NULL,
    replies INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    PRIMARY KEY (day, shard, currency)
);
