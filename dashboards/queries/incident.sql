SELECT
    ts AS time, event, model, version, segment, kind, severity, page, change_point, change_point_low,
    change_point_high, window_start, window_end, evidence, budget, reference, text, opinions,
    reach, act, predictions, parts
FROM alerts
WHERE incident = ${incident:singlequote}
ORDER BY ts, window_end, event
