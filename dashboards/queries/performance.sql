-- Figures of the windows in one drawing interval, averaged; of several versions the busiest one's.
SELECT
    $__timeInterval_ms(window_start) AS time,
    column AS metric,
    avgIf(value, statistic = 'realised') AS realised,
    avgIf(reports.low, statistic = 'realised') AS low,
    avgIf(reports.high, statistic = 'realised') AS high,
    -- Where more of the rows lie outside the training data an estimate is no fact, and stands apart.
    if(outside > 0.1, nan, avgIf(value, statistic = 'estimated')) AS estimated,
    avgIf(value, statistic = 'reference') AS reference,
    avgIf(value, statistic = 'coverage') AS coverage,
    avgIf(value, statistic = 'outside') AS outside,
    if(outside > 0.1, avgIf(value, statistic = 'estimated'), nan) AS estimated_outside,
    -- How much larger the loss may be, as a share of the reference's; none where an older version wrote the report.
    max(reports.tolerance) AS tolerance
FROM reports
WHERE model = ${model:singlequote} AND segment = '' AND role = 'performance' AND $__timeFilter_ms(window_start)
    AND (version, window_start) IN
    (
        SELECT argMax(version, value), window_start
        FROM report_rows
        WHERE model = ${model:singlequote} AND segment = '' AND role = 'window' AND statistic = 'rows'
            AND $__timeFilter_ms(window_start)
        GROUP BY window_start
    )
GROUP BY time, metric
ORDER BY metric, time
