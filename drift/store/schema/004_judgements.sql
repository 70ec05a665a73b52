-- A closed window's numbers, long: one row per column and statistic. Roles: feature and prediction (columns),
-- performance (column is the metric), window (no column). A restatement has a higher revision and replaces.
CREATE TABLE IF NOT EXISTS ${local}report_rows ${on_cluster}
(
    model LowCardinality(String),
    version LowCardinality(String),
    segment LowCardinality(String),
    window_start DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    window_end DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    revision UInt32,
    reference LowCardinality(String),
    role LowCardinality(String),
    column LowCardinality(String),
    kind LowCardinality(String),
    statistic LowCardinality(String),
    unit LowCardinality(String),
    value Float64 CODEC(ZSTD(1)),
    low Nullable(Float64) CODEC(ZSTD(1)),
    high Nullable(Float64) CODEC(ZSTD(1)),
    tolerance Nullable(Float64) CODEC(ZSTD(1)),
    n Int64 CODEC(ZSTD(1)),
    drifted Bool
)
ENGINE = ${replicated}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(window_start)
ORDER BY (model, version, segment, window_start, role, column, statistic)
SETTINGS ${dedup};

CREATE VIEW IF NOT EXISTS reports ${on_cluster} AS SELECT * FROM report_rows FINAL;

-- Incidents' events; `columns` is the JSON of what each alert names, `names` its columns by evidence.
CREATE TABLE IF NOT EXISTS ${local}alerts ${on_cluster}
(
    id String,
    incident String,
    event LowCardinality(String),
    model LowCardinality(String),
    version LowCardinality(String),
    segment LowCardinality(String),
    ts DateTime64(3, 'UTC'),
    window_start DateTime64(3, 'UTC'),
    window_end DateTime64(3, 'UTC'),
    kind LowCardinality(String),
    severity LowCardinality(String),
    page Bool,
    names Array(String),
    columns String CODEC(ZSTD(1)),
    change_point DateTime64(3, 'UTC'),
    change_point_low DateTime64(3, 'UTC'),
    change_point_high DateTime64(3, 'UTC'),
    evidence Float64,
    budget Float64,
    reference LowCardinality(String),
    epoch Int64,
    text String CODEC(ZSTD(1))
)
ENGINE = ${replicated}MergeTree
ORDER BY (model, ts, id)
SETTINGS ${dedup};

-- Retraining orders.
CREATE TABLE IF NOT EXISTS ${local}retraining ${on_cluster}
(
    id String,
    model LowCardinality(String),
    version LowCardinality(String),
    incident String,
    ts DateTime64(3, 'UTC'),
    columns Array(String),
    since DateTime64(3, 'UTC'),
    until DateTime64(3, 'UTC'),
    reason String CODEC(ZSTD(1))
)
ENGINE = ${replicated}MergeTree
ORDER BY (model, ts, id)
SETTINGS ${dedup};
