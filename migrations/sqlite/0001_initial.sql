-- Times are microseconds since 1970 in UTC, truth values are 0 and 1, JSON is text. Both databases have the same
-- tables under the same numbers; a test compares them.

-- The inbox. One row per Stripe event id; the id alone is the key, whichever endpoint or account it came through.
CREATE TABLE events (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    type TEXT NOT NULL,
    api_version TEXT,
    endpoint TEXT NOT NULL,
    created INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    customer TEXT,
    object TEXT,
    -- Follow-ups of the same lane wait until its received events are applied.
    lane TEXT NOT NULL,
    status TEXT NOT NULL,
    -- Why an event is ignored, or why its last try failed.
    last_error TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER NOT NULL DEFAULT 0,
    epoch INTEGER NOT NULL DEFAULT 0,
    stale INTEGER NOT NULL DEFAULT 0,
    occurrence TEXT,
    applied_at INTEGER
) STRICT;
CREATE INDEX events_due ON events (not_before, received_at) WHERE status IN ('pending', 'retrying');
CREATE INDEX events_unapplied_of_lane ON events (lane) WHERE status IN ('pending', 'retrying');
CREATE INDEX events_newest ON events (received_at, id);
CREATE INDEX events_of_customer ON events (customer, received_at, id) WHERE customer IS NOT NULL;
CREATE INDEX events_of_status ON events (status, received_at, id) WHERE status IN ('dead', 'retrying', 'applied', 'ignored');
CREATE INDEX events_of_occurrence ON events (occurrence) WHERE occurrence IS NOT NULL;

-- The raw bytes, one row per event and API version: a second endpoint may send the same event in another shape.
CREATE TABLE bodies (
    event TEXT NOT NULL REFERENCES events (id),
    api_version TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    applied INTEGER NOT NULL DEFAULT 0,
    body BLOB NOT NULL,
    PRIMARY KEY (event, api_version)
) STRICT;

-- Every arrival, duplicates included.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    event TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    api_version TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    body_sha256 TEXT NOT NULL
) STRICT;
CREATE INDEX deliveries_of_event ON deliveries (event);

-- What is known of each Stripe object: projections of their snapshots, and the rows derived from them (order, access).
CREATE TABLE objects (
    account TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    customer TEXT,
    created INTEGER NOT NULL,
    version INTEGER NOT NULL,
    -- Two snapshots could not be told apart by anything but their event id.
    tie INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (account, livemode, kind, id)
) STRICT;
CREATE INDEX objects_newest ON objects (kind, created, id);
CREATE INDEX objects_of_customer ON objects (account, livemode, customer, kind, created) WHERE customer IS NOT NULL;
CREATE INDEX objects_by_id ON objects (kind, id);

CREATE TABLE snapshots (
    account TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    kind TEXT NOT NULL,
    object TEXT NOT NULL,
    event TEXT NOT NULL,
    api_version TEXT NOT NULL,
    type TEXT NOT NULL,
    created INTEGER NOT NULL,
    fields TEXT NOT NULL,
    previous TEXT NOT NULL,
    PRIMARY KEY (account, livemode, kind, object, event, api_version)
) STRICT;

-- Links between objects, grow-only, each in both directions.
CREATE TABLE links (
    account TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    a TEXT NOT NULL,
    b TEXT NOT NULL,
    PRIMARY KEY (account, livemode, a, b)
) STRICT;

-- Every id an order ever had or could have had, and the one it has now.
CREATE TABLE order_aliases (
    account TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    alias TEXT NOT NULL,
    order_id TEXT NOT NULL,
    PRIMARY KEY (account, livemode, alias)
) STRICT;
CREATE INDEX order_aliases_by_alias ON order_aliases (alias);
CREATE INDEX order_aliases_of_order ON order_aliases (account, livemode, order_id);

CREATE TABLE holds (
    effect_key TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    order_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    reason TEXT NOT NULL,
    occurrence TEXT NOT NULL,
    placed_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    released_at INTEGER
) STRICT;
CREATE INDEX holds_of_order ON holds (account, livemode, order_id);

-- What each event changed, and by which rule.
CREATE TABLE changes (
    id INTEGER PRIMARY KEY,
    event TEXT NOT NULL,
    entity TEXT NOT NULL,
    object TEXT NOT NULL,
    field TEXT NOT NULL,
    from_value TEXT NOT NULL,
    to_value TEXT NOT NULL,
    rule TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX changes_of_event ON changes (event);

-- Business facts: what events say happened, and the occurrence each belongs to.
CREATE TABLE occurrences (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    kind TEXT NOT NULL,
    customer TEXT,
    created INTEGER NOT NULL,
    merged_into TEXT,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX occurrences_of_customer ON occurrences (account, livemode, customer, kind, created) WHERE customer IS NOT NULL;

CREATE TABLE occurrence_nodes (
    account TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    node TEXT NOT NULL,
    occurrence TEXT NOT NULL,
    PRIMARY KEY (account, livemode, node, occurrence)
) STRICT;

CREATE TABLE facts (
    account TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    fact TEXT NOT NULL,
    occurrence TEXT NOT NULL,
    PRIMARY KEY (account, livemode, fact)
) STRICT;

CREATE INDEX facts_of_occurrence ON facts (occurrence);

-- One lane per customer (else per order, else per object): its follow-ups run one at a time.
CREATE TABLE lanes (
    lane TEXT PRIMARY KEY,
    -- When its next follow-up is due; null when it has none.
    next_due INTEGER,
    lease_until INTEGER NOT NULL DEFAULT 0,
    epoch INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX lanes_due ON lanes (next_due) WHERE next_due IS NOT NULL;

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    lane TEXT NOT NULL,
    event TEXT NOT NULL,
    occurrence TEXT NOT NULL,
    playbook TEXT NOT NULL,
    stage TEXT NOT NULL,
    customer TEXT,
    status TEXT NOT NULL,
    reason TEXT,
    due_at INTEGER NOT NULL,
    decide_by INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    generation INTEGER NOT NULL DEFAULT 1,
    model TEXT,
    prompt_hash TEXT,
    usage TEXT,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    UNIQUE (occurrence, stage)
) STRICT;
CREATE INDEX runs_due ON runs (lane, due_at) WHERE status IN ('waiting', 'running', 'deferred');
CREATE INDEX runs_newest ON runs (created_at, id);
CREATE INDEX runs_of_event ON runs (event);

-- The journal: each model reply and each tool result, in order, before anything acts on it.
CREATE TABLE steps (
    run TEXT NOT NULL,
    generation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (run, generation, seq)
) STRICT;

CREATE TABLE tool_calls (
    id TEXT PRIMARY KEY,
    run TEXT NOT NULL,
    event TEXT NOT NULL,
    generation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    tool TEXT NOT NULL,
    arguments TEXT NOT NULL,
    by TEXT NOT NULL,
    verdict TEXT NOT NULL,
    rule TEXT,
    reason TEXT,
    effect_key TEXT,
    -- 'duplicate' for a call whose key already had an effect; null while the run goes on.
    effect TEXT,
    result TEXT NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (run, generation, seq)
) STRICT;
CREATE INDEX tool_calls_newest ON tool_calls (at, id);
CREATE INDEX tool_calls_of_event ON tool_calls (event);
CREATE INDEX tool_calls_of_effect ON tool_calls (effect_key) WHERE effect_key IS NOT NULL;

-- One row per effect key: what takes effect at most once hangs on this primary key.
CREATE TABLE effects (
    effect_key TEXT PRIMARY KEY,
    tool TEXT NOT NULL,
    run TEXT NOT NULL,
    occurrence TEXT NOT NULL,
    status TEXT NOT NULL,
    proposal TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE schedules (
    effect_key TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    playbook TEXT NOT NULL,
    customer TEXT,
    subscription TEXT,
    occurrence TEXT NOT NULL,
    run TEXT NOT NULL,
    event TEXT NOT NULL,
    data TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    status TEXT NOT NULL
) STRICT;
CREATE INDEX schedules_of_occurrence ON schedules (occurrence);
CREATE INDEX schedules_due ON schedules (due_at) WHERE status = 'pending';

-- The outbox: messages as rendered.
CREATE TABLE messages (
    id TEXT PRIMARY KEY,
    effect_key TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    livemode INTEGER NOT NULL,
    event TEXT NOT NULL,
    run TEXT NOT NULL,
    occurrence TEXT NOT NULL,
    playbook TEXT NOT NULL,
    purpose TEXT NOT NULL,
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
    sent_at INTEGER
) STRICT;
CREATE INDEX messages_due ON messages (channel, not_before) WHERE status IN ('pending', 'sending');
CREATE INDEX messages_expiring ON messages (expires_at) WHERE status = 'pending';
CREATE INDEX messages_newest ON messages (created_at, id);
CREATE INDEX messages_of_run ON messages (run);
CREATE INDEX messages_of_event ON messages (event);
CREATE INDEX messages_of_recipient ON messages (recipient_key, tried_at) WHERE recipient_key IS NOT NULL;
