-- How far the events of an account are known to be complete, one row for each account and mode: a test key and a live
-- key never move each other's mark. Times are 0 where there are none.
CREATE TABLE backfills (
    account TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    -- Every event that was created before this is stored.
    mark INTEGER NOT NULL DEFAULT 0,
    -- When a walk last came to its end.
    done_at INTEGER NOT NULL DEFAULT 0,
    -- A time whose events Stripe does not list any more, until its objects were looked up.
    gap_from INTEGER NOT NULL DEFAULT 0,
    gap_to INTEGER NOT NULL DEFAULT 0,
    -- The lists of objects that were looked up since, as a JSON list of words.
    reconciled TEXT,
    -- How far others were looked up, as a JSON object: by list, the last object of it that was taken in.
    places TEXT,
    -- Who has it while `lease_until` lasts, for people.
    held_by TEXT,
    -- Why the last walk did not come to its end.
    last_error TEXT,
    lease_until INTEGER NOT NULL DEFAULT 0,
    epoch INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, livemode)
) STRICT;
