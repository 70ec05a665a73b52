-- A row a model that answered in the range, or that has an open incident: one that lives at other times (a backfill of
-- years ago beside one that is live) is not quiet for being out of sight. Numbers of reports are those of its newest window; segment '' is the whole population.
WITH
    traffic AS
    (
        SELECT
            model, groupUniqArray(version) AS versions, sumMerge(counts_by_minute.rows) AS answered,
            min(minute) AS first_row, max(minute) + INTERVAL 1 MINUTE AS last_row
        FROM counts_by_minute
        WHERE segment = '' AND $__timeFilter_ms(minute)
        GROUP BY model
    ),
    newest AS
    (
        SELECT model, max(window_start) AS start
        FROM report_rows
        WHERE segment = '' AND $__timeFilter_ms(window_start)
        GROUP BY model
    ),
    judged AS
    (
        SELECT
            model,
            uniqExactIf(column, role IN ('feature', 'prediction') AND statistic = 'effect' AND drifted) AS moved,
            uniqExactIf(column, role IN ('feature', 'prediction') AND statistic = 'effect') AS watched,
            maxIf(value, role = 'window' AND statistic = 'evidence') AS evidence,
            maxIf(value, role = 'window' AND statistic = 'budget') AS budget
        FROM reports
        WHERE segment = '' AND (model, window_start) IN (SELECT model, start FROM newest)
        GROUP BY model
    ),
    measured AS
    (
        SELECT
            model, argMin(figure, place) AS metric, argMin(estimates, place) AS estimated,
            argMin(truth, place) AS realised, argMin(truth_low, place) AS low, argMin(truth_high, place) AS high,
            argMin(trained, place) AS reference, argMin(covered, place) AS coverage, argMin(beyond, place) AS outside
        FROM
        (
            SELECT
                model, column AS figure,
                indexOf(['auc', 'accuracy', 'mae', 'rmse', 'brier'], column) AS known, if(known = 0, 99, known) AS place,
                -- The newest window that has labels, where there is one.
                argMax(was_estimated, newness) AS estimates, argMax(was_true, newness) AS truth,
                argMax(was_low, newness) AS truth_low, argMax(was_high, newness) AS truth_high,
                argMax(was_trained, newness) AS trained, argMax(was_covered, newness) AS covered,
                argMax(was_outside, newness) AS beyond
            FROM
            (
                SELECT
                    model, column,
                    avgIf(value, statistic = 'estimated') AS was_estimated,
                    avgIf(value, statistic = 'realised') AS was_true,
                    avgIf(reports.low, statistic = 'realised') AS was_low,
                    avgIf(reports.high, statistic = 'realised') AS was_high,
                    avgIf(value, statistic = 'reference') AS was_trained,
                    avgIf(value, statistic = 'coverage') AS was_covered,
                    avgIf(value, statistic = 'outside') AS was_outside,
                    (NOT isNaN(was_true), window_start) AS newness
                FROM reports
                WHERE segment = '' AND role = 'performance' AND $__timeFilter_ms(window_start)
                GROUP BY model, version, column, window_start
            )
            GROUP BY model, column
        )
        GROUP BY model
    ),
    incidents AS
    (
        SELECT
            model, incident, argMax(event, (ts, window_end)) AS state,
            argMax(severity, (indexOf(['watch', 'warning', 'critical'], severity), ts)) AS grade,
            max(page) AS paged, argMax(change_point, (ts, window_end)) AS began, 
            argMax(text, (event != 'close' AND act = '', ts, window_end)) AS said,
            argMax(alerts.parts, (event != 'close' AND act = '', ts, window_end)) AS pieces,
            max(ts) AS told, indexOf(['watch', 'warning', 'critical'], grade) AS weight
        FROM alerts
        WHERE ts <= $__toTime_ms
        GROUP BY model, incident
    ),
    worst AS
    (
        SELECT
            model, countIf(state != 'close') AS open_incidents,
            argMax(incident, (state != 'close', paged, weight, told)) AS incident,
            -- A model that is quiet has no severity, however grave its last incident was.
            if(open_incidents > 0, argMax(grade, (state != 'close', paged, weight, told)), '') AS severity,
            argMax(paged, (state != 'close', paged, weight, told)) AS page,
            argMax(began, (state != 'close', paged, weight, told)) AS since,
            argMax(said, (state != 'close', paged, weight, told)) AS text,
            argMax(pieces, (state != 'close', paged, weight, told)) AS parts
        FROM incidents
        GROUP BY model
    )
SELECT
    shown.model AS model, arrayStringConcat(arraySort(traffic.versions), ', ') AS versions, answered AS rows,
    if(rows = 0, NULL, traffic.first_row) AS first_row, if(rows = 0, NULL, traffic.last_row) AS last_row, moved, watched, open_incidents, severity, page, incident, since, text, parts,
    metric, estimated, realised, low, high, reference, coverage, outside, evidence, budget
FROM
(
    SELECT model FROM traffic
    UNION DISTINCT
    SELECT model FROM worst WHERE worst.open_incidents > 0
) AS shown
LEFT JOIN traffic ON traffic.model = shown.model
LEFT JOIN judged ON judged.model = shown.model
LEFT JOIN measured ON measured.model = shown.model
LEFT JOIN worst ON worst.model = shown.model
ORDER BY open_incidents > 0 DESC, page DESC, indexOf(['watch', 'warning', 'critical'], severity) DESC, evidence DESC, model
