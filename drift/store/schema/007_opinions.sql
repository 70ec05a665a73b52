-- What River's detectors say beside an alert: JSON of the detectors, each with the window since when it agrees.
ALTER TABLE ${local}alerts ${on_cluster} ADD COLUMN IF NOT EXISTS opinions String DEFAULT '[]' CODEC(ZSTD(1));

-- In a cluster the table that is read is another one than that which is written.
ALTER TABLE alerts ${on_cluster} ADD COLUMN IF NOT EXISTS opinions String DEFAULT '[]' CODEC(ZSTD(1));
