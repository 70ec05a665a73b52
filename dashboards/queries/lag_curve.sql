-- By which age which share of the predictions has a label: `expected` is what 30 days of labels have shown, `covered` how
-- it stands with the shown stretch at its end. Delays are truncated by their predictions' ages: the estimate is that of
-- drift/performance/label_delay.py. Lengths lie in buckets, two a doubling; bucket b ends at pow(2, b / 2) seconds.
WITH
    (s) -> if(s < 1, 0, 1 + toInt32(floor(2 * log2(greatest(s, 1))))) AS bucket,
    (
        SELECT max(label_ts) FROM outcomes
        WHERE model = ${model:singlequote} AND ts <= $__toTime_ms AND label_ts <= $__toTime_ms
    ) AS known_until,
    -- [age when the last label came, age now, predictions, those of the shown stretch]
    (
        SELECT groupArray((age, age_now, many, shown))
        FROM
        (
            SELECT
                bucket(dateDiff('millisecond', minute, known_until) / 1000 - 60) AS age,
                bucket(dateDiff('millisecond', minute, $__toTime_ms) / 1000 - 60) AS age_now,
                sumMerge(counts_by_minute.rows) AS many, if($__timeFilter_ms(minute), many, 0) AS shown
            FROM counts_by_minute
            WHERE model = ${model:singlequote} AND segment = '' AND minute <= $__toTime_ms
                AND minute > known_until - INTERVAL 30 DAY
            GROUP BY minute
        )
    ) AS cohorts,
    -- [age, age now, delay, labels, those of the shown stretch]; a corrected label counts from its correction.
    (
        SELECT groupArray((age, age_now, delay, labels, shown))
        FROM
        (
            SELECT
                toStartOfMinute(ts) AS minute,
                bucket(dateDiff('millisecond', minute, known_until) / 1000 - 60) AS age,
                bucket(dateDiff('millisecond', minute, $__toTime_ms) / 1000 - 60) AS age_now,
                bucket(dateDiff('millisecond', ts, label_ts) / 1000) AS delay,
                sum(sign) AS labels, sumIf(sign, $__timeFilter_ms(minute)) AS shown
            FROM outcomes
            WHERE model = ${model:singlequote} AND ts <= $__toTime_ms AND label_ts <= known_until
                AND ts > known_until - INTERVAL 30 DAY
            GROUP BY minute, delay
        )
    ) AS cells,
    curve AS
    (
        SELECT
            delay, exp(sum(log(1 - at_it / at_most)) OVER (
                ORDER BY delay DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            )) AS labels
        FROM
        (
            SELECT
                arrayJoin(range(64)) AS delay,
                arraySum(cell -> if(cell.1 > delay AND cell.3 = delay, cell.4, 0), cells) AS at_it,
                arraySum(cell -> if(cell.1 > delay AND cell.3 <= delay, cell.4, 0), cells) AS at_most
        )
        WHERE at_most >= 30
    ),
    -- Where each point ends: the next one begins there, and cohorts of that age have passed this one and no later one.
    points AS
    (
        SELECT
            delay, labels,
            leadInFrame(delay, 1, 99) OVER (ORDER BY delay ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS next,
            arraySum(cohort -> if(cohort.1 > delay AND cohort.1 <= next, cohort.3, 0), cohorts) AS passed,
            arraySum(cell -> if(cell.1 > delay AND cell.1 <= next AND cell.3 <= delay, cell.4, 0), cells) AS come,
            arraySum(cohort -> if(cohort.2 > delay AND cohort.2 <= next, cohort.4, 0), cohorts) AS shown,
            arraySum(cell -> if(cell.2 > delay AND cell.2 <= next AND cell.3 <= delay, cell.5, 0), cells) AS labelled
        FROM curve
    )
SELECT
    pow(2, delay / 2) AS age, labels, labels * sum(come) OVER () / sum(passed * labels) OVER () AS expected,
    labelled / nullIf(shown, 0) AS covered, shown AS rows
FROM points
ORDER BY age
