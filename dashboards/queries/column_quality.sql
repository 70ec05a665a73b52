SELECT
    $__timeInterval_ms(window_start) AS time,
    transform(
        statistic, ['null_rate', 'unseen_rate', 'out_of_range_rate'], ['missing', 'unseen', 'out of range'], statistic
    ) AS rate,
    max(value) AS share
FROM reports
WHERE model = ${model:singlequote} AND column = ${column:singlequote} AND segment = ''
    AND statistic IN ('null_rate', 'unseen_rate', 'out_of_range_rate') AND $__timeFilter_ms(window_start)
GROUP BY time, rate
ORDER BY time, rate
