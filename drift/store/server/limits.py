"""Bounds of the front; past one of them a client is refused by name."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many clients, for how long, and how much of them.

    Parameters
    ----------
    connections_max
        Clients at a time. A newcomer past it takes the place of the one that has been idle longest; only where all are
        at work it is refused.
    strangers_max
        Of them, clients that have not said their password yet.
    hello_s_max, idle_s_max, packet_s_max
        How long a client may take to say who it is, may say nothing between two statements (its driver connects
        again), and may take to send or take the next bytes of what has begun.
    insert_s_max, insert_bytes_max
        Time and size of one insert's blocks on their way.
    statement_s_max, reader_statement_s_max
        How long a statement may run.
    """

    connections_max: int = 256
    strangers_max: int = 64
    hello_s_max: float = 10.0
    idle_s_max: float = 3600.0
    packet_s_max: float = 300.0
    insert_s_max: float = 3600.0
    insert_bytes_max: int = 4 << 30
    statement_s_max: float = 3600.0
    reader_statement_s_max: float = 60.0
