"""The roles' live state, as the composition root hands it over.

``status()`` returns ``{"roles": {NAME: {"pid", "state", "restarts", "steps": [STEP, ...]}}}``; a step says ``step``,
``rows``, ``rows_per_s``, ``lag_ms``, ``lag_rows``, ``fold_ms``, ``settle_ms``, ``partitions`` and ``trouble``; the
score step also, where it knows, ``p99_ms``, and per model ``models: {NAME: {"p99_ms", "lag_ms"}}``. Whatever is
missing is shown as unknown.
"""

from collections.abc import Iterator
from typing import Any

Live = dict[str, Any]


def steps(live: Live, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every step with its role, or those of one name."""
    for role, state in live.get("roles", {}).items():
        for step in state.get("steps", []):
            if not name or step.get("step") == name:
                yield role, step


def p99_ms(live: Live, model: str) -> float | None:
    """Slowest of the workers' 99th percentiles for a model."""
    return _worst(live, model, "p99_ms")


def lag_ms(live: Live, model: str) -> float | None:
    """How far behind the slowest worker is with a model."""
    return _worst(live, model, "lag_ms")


def _worst(live: Live, model: str, key: str) -> float | None:
    """
    >>> _worst({"roles": {"worker-0": {"steps": [{"step": "score", "lag_ms": 31}]}}}, "m", "lag_ms")
    31
    """
    known = [step.get("models", {}).get(model, step).get(key) for _, step in steps(live, "score")]
    return max((value for value in known if value is not None), default=None)


def total(live: Live, name: str, key: str) -> float | None:
    """A step's figure summed over the processes that run it."""
    known = [step[key] for _, step in steps(live, name) if step.get(key) is not None]
    return sum(known) if known else None


def most(live: Live, name: str, key: str) -> float | None:
    """A step's largest figure among the processes that run it."""
    known = [step[key] for _, step in steps(live, name) if step.get(key) is not None]
    return max(known) if known else None
