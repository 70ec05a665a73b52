-- A row an incident, as it stands at the end of the range; the open ones first, those that paged, the gravest, the newest.
SELECT
    incident,
    argMax(alerts.kind, (ts, window_end)) AS kind,
    argMax(alerts.severity, (ts, window_end)) AS severity,
    max(alerts.page) AS page,
    min(ts) AS opened,
    max(ts) AS updated,
    if(argMax(event, (ts, window_end)) = 'close', max(ts), NULL) AS closed,
    argMax(alerts.change_point, (ts, window_end)) AS change_point,
    argMax(names, (length(names) > 0, ts, window_end)) AS columns,
    max(alerts.evidence) AS evidence,
    argMax(alerts.text, (position(alerts.text, ' moved: ') > 0, ts, window_end)) AS text
FROM alerts
WHERE model = ${model:singlequote} AND ts <= $__toTime_ms
GROUP BY incident
HAVING closed IS NULL OR closed >= $__fromTime_ms
ORDER BY closed IS NULL DESC, page DESC, indexOf(['watch', 'warning', 'critical'], severity) DESC, opened DESC
LIMIT 50
