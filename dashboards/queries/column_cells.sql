-- Current is what came since the change point of the open incident that names the column, else the newest window of the
-- range; where none has closed yet, all of it.
WITH
    profile AS
    (
        SELECT reference, first_cell, labels, references.counts AS trained
        FROM references
        WHERE model = ${model:singlequote} AND column = ${column:singlequote}
        ORDER BY stored_at DESC
        LIMIT 1
    ),
    moved AS
    (
        SELECT argMax(change_point, ts) AS since
        FROM alerts
        WHERE model = ${model:singlequote} AND has(names, ${column:singlequote}) AND ts <= $__toTime_ms
        GROUP BY incident
        HAVING argMax(event, (ts, window_end)) != 'close'
    ),
    newest AS
    (
        SELECT max(window_start) AS begin
        FROM report_rows
        WHERE model = ${model:singlequote} AND segment = '' AND role = 'window' AND statistic = 'rows'
            AND $__timeFilter_ms(window_start)
        HAVING count() > 0
    ),
    since AS
    (
        SELECT max(since) AS since FROM moved HAVING count() > 0
        UNION ALL
        SELECT begin FROM newest WHERE (SELECT count() FROM moved) = 0
    ),
    current AS
    (
        SELECT sumForEachMerge(cells) AS seen
        FROM counts_by_minute
        WHERE model = ${model:singlequote} AND segment = '' AND $__timeFilter_ms(minute)
            AND reference IN (SELECT reference FROM profile)
            AND minute >= (SELECT if(count() = 0, $__fromTime_ms, toStartOfMinute(max(since))) FROM since)
    )
SELECT
    one.1 AS cell,
    one.2 / arraySum(trained) AS reference,
    one.3 / greatest(arraySum(mine), 1) AS current,
    current - reference AS difference
FROM
(
    SELECT labels, trained, arrayResize(arraySlice(seen, first_cell + 1, length(labels)), length(labels), 0) AS mine
    FROM profile CROSS JOIN current
)
ARRAY JOIN arrayZip(labels, trained, mine) AS one
ORDER BY abs(difference) DESC, cell
