-- What models used. Of a run in its own row, so that it counts before the run is over; of a customer's day in the row of their
-- lane, which whoever decides has locked anyway: neither grows with time. Costs are millionths of the currency's unit, and
-- those of another currency than the configured one are not added to.
ALTER TABLE runs ADD COLUMN replies BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN calls BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN input_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN output_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN cached_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN reasoning_tokens BIGINT NOT NULL DEFAULT 0;
-- Replies whose tokens are estimates, and replies whose price is not known.
ALTER TABLE runs ADD COLUMN estimated BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN unpriced BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN cost BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN cost_currency TEXT;

-- The day is counted from 1970, in UTC.
ALTER TABLE lanes ADD COLUMN spent_day BIGINT NOT NULL DEFAULT 0;
ALTER TABLE lanes ADD COLUMN spent_replies BIGINT NOT NULL DEFAULT 0;
ALTER TABLE lanes ADD COLUMN spent_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE lanes ADD COLUMN spent_cost BIGINT NOT NULL DEFAULT 0;
ALTER TABLE lanes ADD COLUMN spent_currency TEXT;

-- Of everybody's day in several rows, which are added up when they are read: a single one would have every commit of a reply
-- wait for the one before it.
CREATE TABLE spending (
    day BIGINT NOT NULL,
    shard BIGINT NOT NULL,
    currency TEXT NOT NULL,
    replies BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    estimated BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    PRIMARY KEY (day, shard, currency)
);
