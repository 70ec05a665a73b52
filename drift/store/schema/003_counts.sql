-- Partial counts go into the Null table, their sums stay: one row per (model, version, reference, segment, minute).
-- Arrays are in the order of the reference's columns: see references.
CREATE TABLE IF NOT EXISTS ${local}counts_in ${on_cluster}
(
    model LowCardinality(String),
    version LowCardinality(String),
    reference LowCardinality(String),
    segment LowCardinality(String),
    minute DateTime64(3, 'UTC'),
    late Bool,
    rows Int64,
    cells Array(Int64),
    moments Array(Int64),
    lowest Array(Float32),
    highest Array(Float32)
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS ${local}counts_by_minute ${on_cluster}
(
    model LowCardinality(String),
    version LowCardinality(String),
    reference LowCardinality(String),
    segment LowCardinality(String),
    minute DateTime64(3, 'UTC'),
    late Bool,
    rows AggregateFunction(sum, Int64),
    cells AggregateFunction(sumForEach, Array(Int64)),
    moments AggregateFunction(sumForEach, Array(Int64)),
    lowest AggregateFunction(minForEach, Array(Float32)),
    highest AggregateFunction(maxForEach, Array(Float32))
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (model, version, reference, segment, minute, late)
SETTINGS ${dedup};

-- A minute without a finite value has NaN extremes; infinities are neutral under min and max, NaN is not.
CREATE MATERIALIZED VIEW IF NOT EXISTS ${local}counts_sum ${on_cluster} TO ${local}counts_by_minute AS
SELECT
    model, version, reference, segment, minute, late,
    sumState(rows) AS rows,
    sumForEachState(cells) AS cells,
    sumForEachState(moments) AS moments,
    minForEachState(arrayMap(x -> if(isNaN(x), toFloat32(inf), x), lowest)) AS lowest,
    maxForEachState(arrayMap(x -> if(isNaN(x), toFloat32(-inf), x), highest)) AS highest
FROM ${local}counts_in
GROUP BY model, version, reference, segment, minute, late;

CREATE VIEW IF NOT EXISTS counts ${on_cluster} AS
SELECT
    model, version, reference, segment, minute, late,
    sumMerge(rows) AS rows,
    sumForEachMerge(cells) AS cells,
    sumForEachMerge(moments) AS moments,
    minForEachMerge(lowest) AS lowest,
    maxForEachMerge(highest) AS highest
FROM counts_by_minute
GROUP BY model, version, reference, segment, minute, late;

-- Joined labels per score cell, four sums a cell: rows, labels, scores (both fixed point 2^12), right predictions.
CREATE TABLE IF NOT EXISTS ${local}label_counts_in ${on_cluster}
(
    model LowCardinality(String),
    version LowCardinality(String),
    reference LowCardinality(String),
    segment LowCardinality(String),
    minute DateTime64(3, 'UTC'),
    cells Array(Int64)
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS ${local}label_counts_by_minute ${on_cluster}
(
    model LowCardinality(String),
    version LowCardinality(String),
    reference LowCardinality(String),
    segment LowCardinality(String),
    minute DateTime64(3, 'UTC'),
    cells AggregateFunction(sumForEach, Array(Int64))
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (model, version, reference, segment, minute)
SETTINGS ${dedup};

CREATE MATERIALIZED VIEW IF NOT EXISTS ${local}label_counts_sum ${on_cluster} TO ${local}label_counts_by_minute AS
SELECT model, version, reference, segment, minute, sumForEachState(cells) AS cells
FROM ${local}label_counts_in
GROUP BY model, version, reference, segment, minute;

CREATE VIEW IF NOT EXISTS label_counts ${on_cluster} AS
SELECT model, version, reference, segment, minute, sumForEachMerge(cells) AS cells
FROM label_counts_by_minute
GROUP BY model, version, reference, segment, minute;
