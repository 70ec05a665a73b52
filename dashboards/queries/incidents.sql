-- A row an incident, as it stands at the end of the range; the open ones first, those that paged, the gravest, the newest.
SELECT
    incident,
    argMax(alerts.kind, (ts, window_end)) AS kind,
    argMax(alerts.severity, (indexOf(['watch', 'warning', 'critical'], alerts.severity), ts)) AS severity,
    max(alerts.page) AS page,
    min(ts) AS opened,
    max(ts) AS updated,
    if(argMax(event, (ts, window_end)) = 'close', max(ts), NULL) AS closed,
    argMax(alerts.change_point, (ts, window_end)) AS change_point,
    argMax(names, (length(names) > 0, ts, window_end)) AS columns,
    max(alerts.evidence) AS evidence,
    argMax(alerts.text, (event != 'close' AND act = '', ts, window_end)) AS text,
    argMax(alerts.predictions, (event != 'close' AND act = '', ts, window_end)) AS predictions,
    argMax(alerts.parts, (event != 'close' AND act = '', ts, window_end)) AS parts
FROM alerts
WHERE model = ${model:singlequote} AND ts <= $__toTime_ms
GROUP BY incident
HAVING closed IS NULL OR closed >= $__fromTime_ms
ORDER BY closed IS NULL DESC, page DESC, indexOf(['watch', 'warning', 'critical'], severity) DESC, opened DESC
LIMIT 50
