-- Newest event time that each station has put into the store, against the newest prediction.
WITH stations AS
(
    SELECT 1 AS place, 'predicted' AS station, max(ts) AS newest
    FROM predictions WHERE $__timeFilter_ms(ts) HAVING count() > 0
    UNION ALL
    SELECT 2, 'counted', max(minute) + INTERVAL 1 MINUTE
    FROM counts_by_minute WHERE $__timeFilter_ms(minute) HAVING count() > 0
    UNION ALL
    SELECT 3, 'judged', max(window_end)
    FROM report_rows WHERE $__timeFilter_ms(window_end) HAVING count() > 0
    UNION ALL
    SELECT 4, 'labelled', max(ts)
    FROM outcomes WHERE $__timeFilter_ms(ts) HAVING count() > 0
)
SELECT
    station, newest,
    greatest(0, dateDiff('millisecond', newest, (SELECT argMin(newest, place) FROM stations))) / 1000 AS behind_s
FROM stations
ORDER BY place
