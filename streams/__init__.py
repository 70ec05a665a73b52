"""The log: how records arrive, what they mean on the wire, and how their effects are committed.

Read the rooms in the order of a record's day: `wire` says what travels, `kafka` speaks to the log, `formats` reads
requests, and `runtime` runs a stage: a consumer hands micro-batches over, the stage turns them into effects, and a
transactional producer commits these with the consumed offsets.

Nothing in this package knows a model or a drift statistic.
"""
