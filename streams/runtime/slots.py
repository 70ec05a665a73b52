"""Slots: what names a process among those of its role, and its transactional producers with it.

Two processes of one slot would fence each other for ever: each that starts ends the other's transactions. So a process
that starts looks whether another one of its name is a member of its group and lives, and leaves it alone. A dead one
stays a member until its session ends; on this machine nobody answers at its address, and it is not waited for.
"""

import re
import socket
import time
from collections.abc import Callable
from typing import Any, Protocol

import confluent_kafka as ck
import structlog

from streams.kafka.cluster import Cluster
from streams.kafka.members import Member, members

log = structlog.get_logger("streams.runtime.slots")

#: What a slot may be called: it is a part of transactional ids, groups and lines of logs.
_GRAMMAR = re.compile(r"[A-Za-z0-9._-]{1,100}")
_ASK_S = 2.0
_LOOK_S = 0.5
#: Of the session time-out: so long a member is waited for that does not answer from another machine.
_SESSIONS = 1.5


class SlotTaken(RuntimeError):
    """Another process that lives has this slot."""


class Ask(Protocol):
    """Asks a role for its ``/status``; None where nobody answers."""

    def __call__(self, url: str) -> dict[str, Any] | None: ...


def default_slot() -> str:
    """The slot of a process that was given none: the name of its host, which containers and pods have each their own.

    >>> bool(_GRAMMAR.fullmatch(default_slot()))
    True
    """
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:100] or "0"


def check_slot(slot: str) -> str:
    """Refuse a slot that cannot be a part of a transactional id; returns it otherwise.

    Raises
    ------
    ValueError
        With what may be used.
    """
    if not _GRAMMAR.fullmatch(slot):
        raise ValueError(f"slot {slot[:120]!r}: use 1 to 100 letters, digits, '.', _ and -")
    return slot


def refuse_taken(
    cluster: Cluster, group: str, name: str, ask: Ask | None = None, is_here: Callable[[str], bool] | None = None
) -> None:
    """Return when no other process of this name reads for a group.

    Parameters
    ----------
    cluster, group
        Whose members are looked at.
    name
        Role and slot, as in ``worker-0``.
    ask, is_here
        Asks for a status; says whether an address is one of this machine's.

    Raises
    ------
    SlotTaken
        One is there, and lives.
    """
    ask, is_here = ask or _ask, is_here or _is_here
    until = time.monotonic() + _SESSIONS * cluster.session_timeout_ms / 1000
    waited_for = ""
    while (other := _named(cluster, group, name)) is not None:
        role = (ask(other.url) or {}).get("role")
        if role == name or time.monotonic() > until:
            how = "answers" if role == name else "is a member of the group and stays one"
            raise SlotTaken(
                f"{name} runs already: it {how} at {other.url}; two of one slot would end each other's transactions "
                "for ever: give this one a name of its own, --slot NAME"
            )
        if is_here(other.url):
            return
        if not waited_for:
            log.info("slots.waits", name=name, url=other.url, why="it does not answer; it may be dead, or out of reach")
            waited_for = other.url
        time.sleep(_LOOK_S)


def _named(cluster: Cluster, group: str, name: str) -> Member | None:
    try:
        group_members = members(cluster, group)
    except ck.KafkaException:
        return None  # a coordinator that does not answer is waited for elsewhere
    return next((member for member in group_members if member.name == name and member.url), None)


def _ask(url: str) -> dict[str, Any] | None:
    import msgspec
    from urllib3 import PoolManager
    from urllib3.exceptions import HTTPError

    try:
        answer = PoolManager(timeout=_ASK_S, retries=False).request("GET", url)
        return msgspec.json.decode(answer.data, type=dict[str, Any]) if answer.status == 200 else None
    except (HTTPError, msgspec.MsgspecError):
        return None


def _is_here(url: str) -> bool:
    """Whether an address is one of this machine's: a socket can be bound to it.

    >>> _is_here("http://127.0.0.1:8090/status"), _is_here("http://192.0.2.1:8090/status")
    (True, False)
    """
    host = url.partition("://")[2].rpartition(":")[0].strip("[]")
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True
