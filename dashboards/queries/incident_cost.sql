-- Means over windows, each weighed alike: as many before the change point as there are since.
WITH
    life AS
    (
        SELECT
            any(model) AS of_model, argMax(change_point, (ts, window_end)) AS began,
            if(argMax(event, (ts, window_end)) = 'close', max(ts), toDateTime64('2200-01-01', 3, 'UTC')) AS ended
        FROM alerts
        WHERE incident = ${incident:singlequote}
    )
SELECT
    column AS metric,
    avgIf(value, statistic = 'reference') AS reference,
    avgIf(value, statistic = 'realised' AND window_start < began) AS realised_before,
    avgIf(value, statistic = 'realised' AND window_start >= began) AS realised_after,
    avgIf(value, statistic = 'estimated' AND window_start < began) AS estimated_before,
    -- Where more of the rows lie outside the training data an estimate is no fact.
    if(avgIf(value, statistic = 'outside' AND window_start >= began) > 0.1, nan,
        avgIf(value, statistic = 'estimated' AND window_start >= began)) AS estimated_after,
    avgIf(value, statistic = 'coverage' AND window_start >= began) AS coverage
FROM reports CROSS JOIN life
WHERE model = of_model AND segment = '' AND role = 'performance'
    AND window_start >= began - INTERVAL 1 DAY AND window_start <= ended
GROUP BY metric
ORDER BY metric
