SELECT $__timeInterval_ms(minute) AS time, version, sumMerge(counts_by_minute.rows) AS rows
FROM counts_by_minute
WHERE model = ${model:singlequote} AND segment = '' AND $__timeFilter_ms(minute)
GROUP BY time, version
ORDER BY time, version
