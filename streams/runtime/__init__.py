"""The runtime: how a stage is fed, its effects committed exactly once, and its partitions handed over.

A record's way, each step with its file::

    consumer      one thread reads what waits as a micro-batch (`fetching`, `splitting`), if there is room (`handover`)
    agent         Faust's: takes it from the thread to the event loop
    pipeline      processes it by the step (`stage`, `snapshots`), commits it, or rewinds
    transactions  messages and offsets become visible together; for a store: `intents`

A partition's way is drawn in `assignment`; where it begins is in `start_offsets` and `offset_marks`. `app` is the
process: HTTP, signals, and what it waits for (`needs`, `starting`).

Nothing above `app` and `agent` knows Faust. Time comes in as an argument where it decides something.
"""
