-- What one model saw and said: wide, a column a feature. Missing numbers are NaN, missing levels and flags null.
CREATE TABLE IF NOT EXISTS ${local_table} ${on_cluster}
(
    id String CODEC(ZSTD(1)),
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    model LowCardinality(String),
    version LowCardinality(String),
    score Float32 CODEC(ZSTD(1)),
    prediction String CODEC(ZSTD(1)),
    route LowCardinality(String),
    source_topic LowCardinality(String),
    source_partition Int32,
    source_offset Int64 CODEC(Delta, ZSTD(1)),
    row Int32,
    batch_rows Int32,
    stored_at DateTime('UTC') DEFAULT now() CODEC(Delta, ZSTD(1)),
    INDEX offsets source_offset TYPE minmax GRANULARITY 1
)
ENGINE = ${replicated}MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (toStartOfHour(ts), source_topic, source_partition, source_offset, row, version)
${ttl}
SETTINGS ${dedup};

CREATE MATERIALIZED VIEW IF NOT EXISTS ${local_view} ${on_cluster} TO ${local}predictions_by_id AS
SELECT id, model, version, ts, score, prediction, route, source_topic, source_partition, source_offset, row
FROM ${local_table};
