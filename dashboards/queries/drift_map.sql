-- Of several windows in one drawing interval the largest effect is shown; of several versions the busiest one's.
SELECT
    time, column, role, worst.1 AS ratio, worst.2 AS effect, worst.3 AS tolerance,
    if(kind = 'numeric', 'ks', 'tvd') AS statistic, worst.4 AS n, drifted
FROM
(
    SELECT
        $__timeInterval_ms(window_start) AS time,
        column,
        any(reports.role) AS role,
        any(reports.kind) AS kind,
        max((value / assumeNotNull(reports.tolerance), value, assumeNotNull(reports.tolerance), reports.n)) AS worst,
        max(reports.drifted) AS drifted
    FROM reports
    WHERE model = ${model:singlequote} AND segment = '' AND reports.role IN ('feature', 'prediction')
        AND statistic = 'effect' AND reports.tolerance > 0 AND $__timeFilter_ms(window_start)
        AND (version, window_start) IN
        (
            SELECT argMax(version, value), window_start
            FROM report_rows
            WHERE model = ${model:singlequote} AND segment = '' AND role = 'window' AND statistic = 'rows'
                AND $__timeFilter_ms(window_start)
            GROUP BY window_start
        )
    GROUP BY time, column
)
ORDER BY time, column
