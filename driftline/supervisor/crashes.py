"""Roles that end by themselves: how often of late, and why."""

from collections.abc import Mapping
from typing import Any

WITHIN_MS = 600_000
#: A role that ended so often within that time is no accident.
LOOP_MIN = 2


def ends(role: Mapping[str, Any], now_ms: int) -> int:
    """How often a role ended by itself within the last ten minutes.

    >>> ends({"ends_ms": [0, 500_000, 900_000]}, now_ms=1_000_000)
    2
    """
    return sum(end > now_ms - WITHIN_MS for end in role.get("ends_ms", ()))


def recent(role: Mapping[str, Any], now_ms: int) -> str:
    """What to say of a role's ends, empty where there were none of late.

    >>> recent({"ends_ms": [900_000], "why": "it was killed (signal 9)"}, now_ms=1_000_000)
    'ended once in the last 10 minutes; it was killed (signal 9)'
    """
    often = ends(role, now_ms)
    if not often:
        return ""
    how = "once" if often == 1 else f"{often} times"
    return f"ended {how} in the last {WITHIN_MS // 60_000} minutes; {role['why']}"
