-- Newest event time that each station has put into the store, against the newest prediction.
WITH stations AS
(
    SELECT 1 AS place, 'predicted' AS station, max(ts) AS newest FROM predictions WHERE $__timeFilter_ms(ts)
    UNION ALL
    SELECT 2, 'counted', max(minute) + INTERVAL 1 MINUTE FROM counts_by_minute WHERE $__timeFilter_ms(minute)
    UNION ALL
    SELECT 3, 'judged', max(window_end) FROM report_rows WHERE $__timeFilter_ms(window_end)
    UNION ALL
    SELECT 4, 'labelled', max(ts) FROM outcomes WHERE $__timeFilter_ms(ts)
)
SELECT
    station, newest,
    greatest(0, dateDiff('millisecond', newest, (SELECT newest FROM stations WHERE place = 1))) / 1000 AS behind_s
FROM stations
WHERE newest > toDateTime64(0, 3, 'UTC')
ORDER BY place
