"""How far behind the roles are with what an incident list is made of: rows that wait, and windows judged so far."""

from collections.abc import Iterator, Mapping
from typing import Any

from dashboards import words
from driftline.commands.terminal import instant

#: Rows that have waited for so long are no mere traffic.
_BEHIND_MS = 3_000
#: Steps that a row goes through before it can be part of an incident in the store.
_STEPS = ("score", "count", "join", "judge", "sink")


def waiting(run: Mapping[str, Any] | None) -> str:
    """Say which step is furthest behind; empty where none is, or nothing runs here.

    Parameters
    ----------
    run
        What `driftline.roles.run_file.running` has found.

    >>> step = {"step": "count", "lag_rows": 1_200, "lag_ms": 41_000}
    >>> waiting({"roles": {"monitor-0": {"steps": [step, {"step": "judge", "lag_rows": 0, "lag_ms": 0}]}}})
    'step count of monitor-0 has 1,200 rows to go, the oldest waiting for 41 s'
    >>> waiting(None)
    ''
    """
    late = [
        (step["lag_ms"], role, step)
        for role, state in (run or {"roles": {}})["roles"].items()
        for step in state.get("steps", [])
        if step["step"] in _STEPS and step["lag_rows"] and (step["lag_ms"] or 0) >= _BEHIND_MS
    ]
    if not late:
        return ""
    age, role, step = max(late, key=lambda each: each[0])
    rows = f"{step['lag_rows']:,} row{'s' if step['lag_rows'] > 1 else ''}"
    return f"step {step['step']} of {role} has {rows} to go, the oldest waiting for {words.span(age)}"


def lines(run: Mapping[str, Any] | None, windows: Mapping[str, int]) -> Iterator[str]:
    """Say up to when windows were judged, and that more may come.

    Parameters
    ----------
    run
        As of `waiting`.
    windows
        End of the newest window that was judged, in ms of event time, by model.

    >>> list(lines(None, {"churn": 1_700_000_000_000}))
    ['judged so far: churn to 2023-11-14T22:13:20Z']
    >>> list(lines(None, {}))
    ['judged so far: no window']
    """
    ends = ", ".join(f"{model} to {instant(end)}" for model, end in windows.items())
    yield f"judged so far: {ends or 'no window'}"
    if behind := waiting(run):
        yield f"! more may come: {behind}"
