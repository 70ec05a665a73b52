"""What roles need besides the broker."""

import msgspec

from drift.store import Store
from driftline.roles import parts
from driftline.settings import Settings
from streams.runtime.needs import Need

_ANSWER_S = 3.0


def store_need(settings: Settings, *, reads_only: bool = False, blocks: bool = False) -> Need:
    """The store, asked by a connection of its own that waits for seconds, not minutes.

    Parameters
    ----------
    reads_only
        As of `parts.store_settings`.
    blocks
        As of `Need`.
    """
    where = parts.store_settings(settings, reads_only=reads_only)
    where = msgspec.structs.replace(where, connect_s_max=_ANSWER_S, answer_s_max=_ANSWER_S)
    return Need(f"the store at {where.host}:{where.port}", Store(where).ask, blocks=blocks)
