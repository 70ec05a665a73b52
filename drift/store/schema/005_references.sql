-- What counts are compared with: a row per column of a reference, in the order of the counts' arrays.
-- The column's cells are elements first_cell + 1 to first_cell + length(labels) of counts.cells.
CREATE TABLE IF NOT EXISTS ${local}references ${on_cluster}
(
    model LowCardinality(String),
    version LowCardinality(String),
    reference LowCardinality(String),
    place Int32,
    column LowCardinality(String),
    role LowCardinality(String),
    kind LowCardinality(String),
    first_cell Int32,
    labels Array(String),
    edges Array(Float32),
    counts Array(Int64),
    rows Int64,
    centre Float64,
    scale Float64,
    stored_at DateTime('UTC') DEFAULT now()
)
ENGINE = ${replicated}ReplacingMergeTree
ORDER BY (model, version, reference, place)
SETTINGS ${dedup};

-- Refused records: where they came from and why; the bytes stay in the topic, at letter_partition/letter_offset.
CREATE TABLE IF NOT EXISTS ${local}dead_letters ${on_cluster}
(
    ts DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    source_topic LowCardinality(String),
    source_partition Int32,
    source_offset Int64 CODEC(Delta, ZSTD(1)),
    stage LowCardinality(String),
    reason LowCardinality(String),
    field String CODEC(ZSTD(1)),
    detail String CODEC(ZSTD(1)),
    attempts Int32,
    bytes Int64,
    letter_partition Int32,
    letter_offset Int64 CODEC(Delta, ZSTD(1))
)
ENGINE = ${replicated}MergeTree
ORDER BY (ts, source_topic, source_partition, source_offset)
SETTINGS ${dedup};
