SELECT
    version, route, count() AS rows, rows / sum(rows) OVER () AS share,
    min(ts) AS first_row, max(ts) AS last_row, avg(score) AS mean_score
FROM predictions
WHERE model = ${model:singlequote} AND $__timeFilter_ms(ts)
GROUP BY version, route
ORDER BY rows DESC
