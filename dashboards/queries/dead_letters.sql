SELECT
    stage, reason, count() AS rows, max(ts) AS last,
    argMax(concat(source_topic, '/', toString(source_partition), '/', toString(source_offset), ' ', detail), ts) AS example
FROM dead_letters
WHERE $__timeFilter_ms(ts)
GROUP BY stage, reason
ORDER BY rows DESC
LIMIT 50
