-- Whole hours and days out of the counts of their minutes, late rows too. What chance makes of a distance is taken off
-- as the judge does (drift/statistics/effect.py): Kolmogorov's mean for numbers, half-normal differences for levels.
WITH
    profile AS
    (
        SELECT reference, kind, first_cell, references.counts AS trained, design_effect
        FROM references
        WHERE model = ${model:singlequote} AND column = ${column:singlequote}
        ORDER BY stored_at DESC
        LIMIT 1
    ),
    summed AS
    (
        SELECT
            length,
            if(length = '1 h', toStartOfHour(minute), toStartOfDay(minute)) AS start,
            sumForEachMerge(cells) AS seen
        FROM counts_by_minute
        ARRAY JOIN ['1 h', '1 d'] AS length
        WHERE model = ${model:singlequote} AND segment = '' AND $__timeFilter_ms(minute)
            AND reference IN (SELECT reference FROM profile)
        GROUP BY length, start
    )
SELECT toDateTime64(start, 3, 'UTC') AS time, length, sqrt(greatest(0, raw * raw - chance * chance)) AS effect
FROM
(
    SELECT
        start, length, kind, trained,
        arrayResize(arraySlice(seen, first_cell + 1, length(trained)), length(trained), 0) AS now,
        arraySum(now) AS n, arraySum(trained) AS was_n, design_effect * (1 / n + 1 / was_n) AS noise,
        arrayMap((k, was) -> k / n - was / was_n, now, trained) AS change,
        if(
            kind = 'numeric',
            arrayMax(arrayMap(gap -> abs(gap), arrayPopBack(arrayCumSum(change)))),
            arraySum(arrayMap(part -> abs(part), change)) / 2
        ) AS raw,
        arrayMap((k, was) -> (k + was) / (n + was_n), now, trained) AS pooled,
        if(
            kind = 'numeric',
            0.8687 * sqrt(noise),
            arraySum(arrayMap(share -> sqrt(share * (1 - share) * noise), pooled)) * sqrt(2 / pi()) / 2
        ) AS chance
    FROM summed CROSS JOIN profile
    WHERE n > 0
)
ORDER BY time, length
