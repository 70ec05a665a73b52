-- Of several windows in one drawing interval the largest effect is shown; of several versions the busiest one's.
SELECT
    $__timeInterval_ms(window_start) AS time,
    maxIf(value, reports.statistic = 'effect') AS effect,
    argMaxIf(reports.low, value, reports.statistic = 'effect') AS low,
    argMaxIf(reports.high, value, reports.statistic = 'effect') AS high,
    max(reports.tolerance) AS tolerance,
    if(any(kind) = 'numeric', 'ks', 'tvd') AS statistic,
    argMaxIf(reports.n, value, reports.statistic = 'effect') AS n,
    maxIf(value, reports.statistic = 'evidence') AS evidence
FROM reports
WHERE model = ${model:singlequote} AND column = ${column:singlequote} AND segment = ''
    AND role IN ('feature', 'prediction') AND reports.statistic IN ('effect', 'evidence')
    AND $__timeFilter_ms(window_start)
    AND (version, window_start) IN
    (
        SELECT argMax(version, value), window_start
        FROM report_rows
        WHERE model = ${model:singlequote} AND segment = '' AND role = 'window' AND statistic = 'rows'
            AND $__timeFilter_ms(window_start)
        GROUP BY window_start
    )
GROUP BY time
ORDER BY time
