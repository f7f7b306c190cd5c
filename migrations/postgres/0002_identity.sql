-- Which database this is. What is remembered elsewhere about its rows, as Redis does, must never be believed by another
-- database that happens to have the same address.
CREATE TABLE identity (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL
);
INSERT INTO identity (one, id) VALUES (1, replace(gen_random_uuid()::TEXT, '-', ''));
