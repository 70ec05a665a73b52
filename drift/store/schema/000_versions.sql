-- Which files of this folder were applied, and what was in them.
CREATE TABLE IF NOT EXISTS ${local}schema_versions ${on_cluster}
(
    name String,
    sha256 String,
    applied_at DateTime('UTC') DEFAULT now()
)
ENGINE = ${replicated}ReplacingMergeTree(applied_at)
ORDER BY name;
