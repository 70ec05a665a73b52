-- Where a label finds its prediction: every prediction of every model, ordered by id.
-- Small granules: a look-up of thousands of ids reads a granule for each.
CREATE TABLE IF NOT EXISTS ${local}predictions_by_id ${on_cluster}
(
    id String CODEC(ZSTD(1)),
    model LowCardinality(String),
    version LowCardinality(String),
    ts DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    score Float32 CODEC(ZSTD(1)),
    prediction String CODEC(ZSTD(1)),
    route LowCardinality(String),
    source_topic LowCardinality(String),
    source_partition Int32 CODEC(ZSTD(1)),
    source_offset Int64 CODEC(ZSTD(1)),
    row Int32 CODEC(ZSTD(1)),
    stored_at DateTime('UTC') DEFAULT now() CODEC(ZSTD(1))
)
ENGINE = ${replicated}MergeTree
ORDER BY (id, version)
${ttl}
SETTINGS index_granularity = 512, ${dedup};

-- All predictions, over the common columns of all models' observations, in the order of time.
CREATE TABLE IF NOT EXISTS predictions ${on_cluster}
(
    id String,
    ts DateTime64(3, 'UTC'),
    model LowCardinality(String),
    version LowCardinality(String),
    score Float32,
    prediction String,
    route LowCardinality(String),
    source_topic LowCardinality(String),
    source_partition Int32,
    source_offset Int64,
    row Int32,
    batch_rows Int32
)
ENGINE = Merge(currentDatabase(), '^observations_');
