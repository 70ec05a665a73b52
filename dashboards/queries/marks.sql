-- Incidents and retraining orders, as marks on every chart.
SELECT time, text, tags
FROM
(
    SELECT ts AS time, concat(incident, ' ', event, ': ', text) AS text, toString(severity) AS tags
    FROM alerts
    WHERE model = ${model:singlequote} AND (event != 'update' OR page) AND $__timeFilter_ms(ts)
    UNION ALL
    SELECT ts, concat('retraining ordered: ', reason), 'order'
    FROM retraining
    WHERE model = ${model:singlequote} AND $__timeFilter_ms(ts)
)
ORDER BY time
