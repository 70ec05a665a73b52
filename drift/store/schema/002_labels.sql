-- Labels as they came; a later ts corrects an earlier one.
CREATE TABLE IF NOT EXISTS ${local}feedback ${on_cluster}
(
    id String CODEC(ZSTD(1)),
    ts DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    label String CODEC(ZSTD(1)),
    source_topic LowCardinality(String),
    source_partition Int32 CODEC(ZSTD(1)),
    source_offset Int64 CODEC(ZSTD(1)),
    stored_at DateTime('UTC') DEFAULT now() CODEC(Delta, ZSTD(1))
)
ENGINE = ${replicated}MergeTree
ORDER BY (id, ts)
SETTINGS ${dedup};

-- Predictions joined with their labels. A correction is the old row with sign -1 and the new one with +1,
-- so that sums with the sign as weight are right at any time.
CREATE TABLE IF NOT EXISTS ${local}outcomes ${on_cluster}
(
    id String CODEC(ZSTD(1)),
    model LowCardinality(String),
    version LowCardinality(String),
    segment LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    score Float32 CODEC(ZSTD(1)),
    prediction String CODEC(ZSTD(1)),
    label String CODEC(ZSTD(1)),
    label_ts DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    sign Int8,
    stored_at DateTime('UTC') DEFAULT now() CODEC(Delta, ZSTD(1)),
    PROJECTION by_id
    (
        SELECT id, model, version, segment, ts, score, prediction, label, label_ts, sign ORDER BY id
    )
)
ENGINE = ${replicated}MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (model, toStartOfHour(ts), id, version)
SETTINGS index_granularity = 1024, ${dedup};
