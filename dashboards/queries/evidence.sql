-- Per kind the column with the most evidence; `all` is what the judge compares with the budget.
SELECT $__timeInterval_ms(window_start) AS time, what AS kind, max(value) AS evidence
FROM
(
    SELECT
        window_start, value,
        multiIf(
            role = 'feature', 'features', role = 'prediction', 'predictions', statistic = 'budget', 'budget', 'all'
        ) AS what
    FROM reports
    WHERE model = ${model:singlequote} AND segment = '' AND $__timeFilter_ms(window_start)
        AND (statistic = 'evidence' OR (role = 'window' AND statistic = 'budget'))
)
GROUP BY time, kind
ORDER BY time, kind
