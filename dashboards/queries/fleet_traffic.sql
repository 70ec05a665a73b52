SELECT $__timeInterval_ms(minute) AS time, model, sumMerge(counts_by_minute.rows) AS rows
FROM counts_by_minute
WHERE segment = '' AND $__timeFilter_ms(minute)
GROUP BY time, model
ORDER BY time, model
