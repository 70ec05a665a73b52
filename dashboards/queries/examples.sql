-- The newest rows with this column's value, whatever its type. A feature's column is found by its name in the row's JSON,
-- because an identifier cannot be a parameter.
SELECT
    ts AS time, id, version, score, prediction,
    trim(BOTH '"' FROM JSONExtractRaw(line, ${column:singlequote})) AS value
FROM
(
    SELECT ts, id, version, score, prediction, formatRowNoNewline('JSONEachRow', *) AS line
    FROM merge(currentDatabase(), '^observations_')
    WHERE model = ${model:singlequote} AND route != 'shadow' AND $__timeFilter_ms(ts)
        AND ts >= (
            SELECT max(minute) - INTERVAL 1 MINUTE FROM counts_by_minute
            WHERE model = ${model:singlequote} AND $__timeFilter_ms(minute)
        )
    ORDER BY ts DESC, source_partition, source_offset DESC
    LIMIT 6
)
ORDER BY time DESC, id
