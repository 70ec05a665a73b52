-- The pieces of an alert's text (words, times, names), so that a reader may write its times in another zone.
ALTER TABLE ${local}alerts ${on_cluster} ADD COLUMN IF NOT EXISTS parts String DEFAULT '[]' CODEC(ZSTD(1));

-- In a cluster the table that is read is another one than that which is written.
ALTER TABLE alerts ${on_cluster} ADD COLUMN IF NOT EXISTS parts String DEFAULT '[]' CODEC(ZSTD(1));
