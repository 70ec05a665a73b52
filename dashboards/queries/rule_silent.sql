-- Seconds since each model's newest row, of those that answered in the last day.
SELECT model, toFloat64(greatest(0, dateDiff('second', max(minute) + INTERVAL 1 MINUTE, $__toTime_ms))) AS value
FROM counts_by_minute
WHERE $__timeFilter_ms(minute)
GROUP BY model
ORDER BY model
