-- When the newest snapshot of an object was created: one that is newer still needs no other to be read. 0 is not known, as of
-- rows that were written before.
ALTER TABLE objects ADD COLUMN newest INTEGER NOT NULL DEFAULT 0;
