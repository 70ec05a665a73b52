-- What the newest event that names columns says of them, a close only where no other does: it names what is back. Levels are those that moved, as [level, then, now].
SELECT
    named.name AS column, named.role AS role, named.statistic AS statistic, named.effect AS effect,
    named.effect_low AS low, named.effect_high AS high, named.tolerance AS tolerance, named.evidence AS evidence,
    named.n AS n, fromUnixTimestamp64Milli(named.change_point, 'UTC') AS change_point, named.levels AS levels
FROM
(
    SELECT
        arrayJoin(
            JSONExtract(
                argMax(columns, (length(names) > 0, event != 'close' AND act = '', ts, window_end)),
                'Array(Tuple(name String, role String, statistic String, effect Float64, effect_low Float64,'
                    || ' effect_high Float64, tolerance Float64, evidence Float64, n Int64, change_point Int64,'
                    || ' levels String))'
            )
        ) AS named
    FROM alerts
    WHERE incident = ${incident:singlequote}
)
ORDER BY evidence DESC, column
