-- Whatever is neither the effect nor its evidence, a mean or a rate is a distance: one that is new stands here, too.
-- Of several windows in one drawing interval the largest is shown.
SELECT $__timeInterval_ms(window_start) AS time, statistic, max(value) AS distance
FROM reports
WHERE model = ${model:singlequote} AND column = ${column:singlequote} AND segment = ''
    AND role IN ('feature', 'prediction')
    AND statistic NOT IN ('effect', 'evidence', 'mean', 'null_rate', 'unseen_rate', 'out_of_range_rate')
    AND $__timeFilter_ms(window_start)
GROUP BY time, statistic
ORDER BY time, statistic
