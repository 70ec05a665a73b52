-- The stretch of event time that the store knows of a model (of all, where the model is empty), and its windows: the
-- usual length, for by a calendar some are an hour longer or shorter, and where the newest begins; 0 without any.
SELECT
    toUnixTimestamp64Milli(min(first)) AS oldest_ms,
    toUnixTimestamp64Milli(max(last)) AS newest_ms,
    toInt64(minIf(length, length > 0)) AS window_ms,
    toUnixTimestamp64Milli(maxIf(begin, length > 0)) AS newest_window_ms
FROM
(
    SELECT
        min(window_start) AS first, max(window_end) AS last, max(window_start) AS begin,
        quantileExact(0.5)(dateDiff('millisecond', window_start, window_end)) AS length
    FROM report_rows
    WHERE role = 'window' AND statistic = 'rows' AND (model = ${model:singlequote} OR ${model:singlequote} = '')
    GROUP BY model
    UNION ALL
    SELECT min(minute), max(minute) + INTERVAL 1 MINUTE, max(minute), 0
    FROM counts_by_minute
    WHERE model = ${model:singlequote} OR ${model:singlequote} = ''
    HAVING count() > 0
)
