-- When the newest snapshot of an object was created: one that is newer still needs no other to be read. 0 is not known, as of
-- rows that were written before: whoever writes such a row next reads all of its snapshots, and fills it in. Filling it in
-- here would rewrite every row at once.
ALTER TABLE objects ADD COLUMN newest INTEGER NOT NULL DEFAULT 0;
