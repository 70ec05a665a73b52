-- Every station by the event time of what it has put into the store: windows, too, by the interval they begin in.
SELECT time, station, sum(amount) * 60 / $__interval_s AS rows
FROM
(
    SELECT $__timeInterval_ms(ts) AS time, 'predicted' AS station, toInt64(count()) AS amount
    FROM predictions WHERE $__timeFilter_ms(ts) GROUP BY time
    UNION ALL
    SELECT $__timeInterval_ms(minute) AS time, 'counted', sumMerge(counts_by_minute.rows)
    FROM counts_by_minute WHERE segment = '' AND $__timeFilter_ms(minute) GROUP BY time
    UNION ALL
    SELECT $__timeInterval_ms(reports.window_start) AS time, 'judged', toInt64(sum(value))
    FROM reports WHERE segment = '' AND role = 'window' AND statistic = 'rows' AND $__timeFilter_ms(window_start)
    GROUP BY time
    UNION ALL
    SELECT $__timeInterval_ms(ts) AS time, 'labelled', sum(sign)
    FROM outcomes WHERE segment = '' AND $__timeFilter_ms(ts) GROUP BY time
    UNION ALL
    SELECT $__timeInterval_ms(ts) AS time, 'refused', toInt64(count())
    FROM dead_letters WHERE $__timeFilter_ms(ts) GROUP BY time
)
GROUP BY time, station
ORDER BY time, indexOf(['predicted', 'counted', 'judged', 'labelled', 'refused'], station)
