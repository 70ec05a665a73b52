-- Open incidents that paged; the value is the severity: 1 watch, 2 warning, 3 critical.
SELECT
    model, incident, argMax(severity, (ts, window_end)) AS severity_of_incident,
    toFloat64(indexOf(['watch', 'warning', 'critical'], severity_of_incident)) AS value
FROM alerts
GROUP BY model, incident
HAVING max(page) AND argMax(event, (ts, window_end)) != 'close'
ORDER BY model, incident
