-- Which database this is. What is remembered elsewhere about its rows, as Redis does, must never be believed by another
-- database that happens to have the same address.
CREATE TABLE identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL
) STRICT;
INSERT INTO identity (one, id) VALUES (1, lower(hex(randomblob(16))));
