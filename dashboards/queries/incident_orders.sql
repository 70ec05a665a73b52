SELECT ts AS time, id AS order, version, columns, since, until, reason
FROM retraining
WHERE incident = ${incident:singlequote}
ORDER BY ts
