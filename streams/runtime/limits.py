"""What a consumer may hold, and how long it waits."""

import msgspec


class ConsumerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a consumer may hold, and how long it waits.

    Parameters
    ----------
    rows_max, bytes_max
        Records of one micro-batch, and bytes of their values: once it holds so many no more is read into it. One whose
        records ask for more than ``rows_max`` answers is split.
    batches_in_flight_max
        One is processed while one is committed.
    revoke_wait_ms_max
        How long a partition that is taken away waits for the commit of its records; then they are dropped, and
        processed where it goes.
    idle_after_ms, asleep_after_ms
        When a partition in which nothing comes counts as idle, and after which lengths, ascending, as asleep: see
        `streams.runtime.silences`.
    quiet_batch_ms
        After this long without a micro-batch an empty one is handed over, for those who commit by time; None never.
    batch_every_ms
        At most one micro-batch in so long, for topics that are read again and again: what one sends back to its own
        topic would else be in the next one at once. None reads as fast as it can.
    """

    rows_max: int = 5_000
    bytes_max: int = 8_388_608
    batches_in_flight_max: int = 2
    revoke_wait_ms_max: int = 5_000
    idle_after_ms: int | None = None
    asleep_after_ms: tuple[int, ...] = ()
    quiet_batch_ms: int | None = None
    batch_every_ms: int | None = None
