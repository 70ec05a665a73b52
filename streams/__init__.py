"""The log: how records arrive, what they mean on the wire, and how their effects are settled.

Read the files in the order of a record's day: `schema` says what a request may hold, `records` what every
other topic carries, `topics` where they lie, `feed` brings blocks in, `codec` reads them, a `stage` decides,
`producer` settles its effects with the consumed offsets in one transaction, and `shell` ties the four together
under a Faust agent. `dead_letters` keeps what was refused.

Nothing in this package knows a model or a drift statistic.
"""
