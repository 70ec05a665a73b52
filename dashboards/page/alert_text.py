"""An alert's text on a page: its times in the reader's zone, its long lists cut short.

An alert carries its text in parts, so no English is read here. Texts of older alerts have none, and are shown as they
are.
"""

import json
from collections.abc import Callable
from typing import Any

from dashboards import words

Clock = Callable[[int], str]


def rendered(alert: dict[str, Any], clock: Clock, *, since: bool = True) -> str:
    """An alert's text for a page.

    Parameters
    ----------
    alert
        Its ``text``, and its ``parts`` as JSON.
    clock
        Writes an event time.
    since
        Keep the first clause that says since when.

    >>> parts = [{"text": "a moved"}, {"text": " since 2026...", "kind": "since", "at": 60_000}, {"text": "; and "},
    ...     {"text": "b, c, d, e and f", "kind": "names", "names": ["b", "c", "d", "e", "f"]}]
    >>> alert = {"text": "", "parts": json.dumps(parts)}
    >>> rendered(alert, words.clock)
    'a moved since Jan 1, 1970, 00:01; and b, c, d and 2 more'
    >>> rendered(alert, words.clock, since=False)
    'a moved; and b, c, d and 2 more'
    """
    parts = _parts(alert) or [{"text": alert["text"]}]
    first = next((part for part in parts if part.get("kind") == "since"), None)
    return "".join(_piece(part, clock) for part in parts if since or part is not first)


def leads(alert: dict[str, Any], since_ms: int | None) -> bool:
    """Whether a page may say since when in front of an alert's text: it is known to name no time, or that one first."""
    parts = _parts(alert)
    first = next((part["at"] for part in parts if part.get("kind") == "since"), None)
    return bool(parts) and (first is None or since_ms is None or abs(first - since_ms) < 1_000)


def decided(alert: dict[str, Any], clock: Clock) -> str:
    """What was decided of an incident and by whom, out of the alert that tells of it; empty where it is not known."""
    parts = _parts(alert)
    people = [n for n, part in enumerate(parts) if part.get("kind") == "person"]
    return "".join(_piece(part, clock) for part in parts[: people[0] + 1]) if people else ""


def _parts(alert: dict[str, Any]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = json.loads(alert.get("parts") or "[]")
    return parts


def _piece(part: dict[str, Any], clock: Clock) -> str:
    if part.get("kind") == "since":
        return f" since {clock(part['at'])}"
    if part.get("kind") == "time":
        return clock(part["at"])
    if part.get("kind") == "names":
        return words.listed(part["names"])
    return str(part["text"])
