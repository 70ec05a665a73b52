-- The stretch of event time that the store knows of a model (of all, where the model is empty).
SELECT
    toUnixTimestamp64Milli(min(first)) AS oldest_ms,
    toUnixTimestamp64Milli(max(last)) AS newest_ms,
    min(length) AS window_ms
FROM
(
    SELECT window_start AS first, window_end AS last, dateDiff('millisecond', window_start, window_end) AS length
    FROM report_rows
    WHERE role = 'window' AND statistic = 'rows' AND (model = ${model:singlequote} OR ${model:singlequote} = '')
    UNION ALL
    SELECT minute, minute + INTERVAL 1 MINUTE, 60000
    FROM counts_by_minute
    WHERE model = ${model:singlequote} OR ${model:singlequote} = ''
)
