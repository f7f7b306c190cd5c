-- What a run's tools looked like to its model, as a hash; none for a run that was decided before this was kept.
ALTER TABLE runs ADD COLUMN tools_hash TEXT;
