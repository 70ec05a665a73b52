-- How far an alert was told, what a person did, later changes of an open incident, and what became of the predictions.
ALTER TABLE ${local}alerts ${on_cluster} ADD COLUMN IF NOT EXISTS reach LowCardinality(String) DEFAULT 'list';
ALTER TABLE ${local}alerts ${on_cluster} ADD COLUMN IF NOT EXISTS act LowCardinality(String) DEFAULT '';
ALTER TABLE ${local}alerts ${on_cluster} ADD COLUMN IF NOT EXISTS later Array(Int64) CODEC(ZSTD(1));
ALTER TABLE ${local}alerts ${on_cluster} ADD COLUMN IF NOT EXISTS predictions String DEFAULT '[]' CODEC(ZSTD(1));

-- In a cluster the table that is read is another one than that which is written.
ALTER TABLE alerts ${on_cluster} ADD COLUMN IF NOT EXISTS reach LowCardinality(String) DEFAULT 'list';
ALTER TABLE alerts ${on_cluster} ADD COLUMN IF NOT EXISTS act LowCardinality(String) DEFAULT '';
ALTER TABLE alerts ${on_cluster} ADD COLUMN IF NOT EXISTS later Array(Int64) CODEC(ZSTD(1));
ALTER TABLE alerts ${on_cluster} ADD COLUMN IF NOT EXISTS predictions String DEFAULT '[]' CODEC(ZSTD(1));
