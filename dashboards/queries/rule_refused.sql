-- Share of the records that were refused.
SELECT stage, count() / (count() + (SELECT count() FROM predictions WHERE $__timeFilter_ms(ts))) AS value
FROM dead_letters
WHERE $__timeFilter_ms(ts)
GROUP BY stage
ORDER BY stage
