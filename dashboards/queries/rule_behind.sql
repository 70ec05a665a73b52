-- Seconds of event time from the newest judged window to the newest counted row.
SELECT counted.model AS model, toFloat64(greatest(0, dateDiff('second', judged.last, counted.last))) AS value
FROM
(
    SELECT model, max(minute) + INTERVAL 1 MINUTE AS last
    FROM counts_by_minute WHERE segment = '' AND $__timeFilter_ms(minute) GROUP BY model
) AS counted
LEFT JOIN
(
    SELECT model, max(window_end) AS last
    FROM report_rows WHERE segment = '' AND role = 'window' GROUP BY model
) AS judged ON judged.model = counted.model
ORDER BY model
