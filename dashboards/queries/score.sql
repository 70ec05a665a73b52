SELECT time, q[1] AS p05, q[2] AS p25, q[3] AS p50, q[4] AS p75, q[5] AS p95
FROM
(
    SELECT $__timeInterval_ms(ts) AS time, quantiles(0.05, 0.25, 0.5, 0.75, 0.95)(score) AS q
    FROM predictions
    WHERE model = ${model:singlequote} AND route != 'shadow' AND $__timeFilter_ms(ts)
    GROUP BY time
)
ORDER BY time
