"""The roles' live state, as the composition root hands it over.

``status()`` returns ``{"roles": {NAME: {"pid", "state", "restarts", "waits": [TEXT, ...], "steps": [STEP, ...],
"serving"}}}``; ``waits`` says what the role needs and does not get, whatever its steps do. A step says
``step``, ``rows``, ``rows_per_s``, ``lag_rows`` and ``lag_ms`` (records that are not settled, and the age of the oldest
of them), ``p99_ms`` (the age that 99 of 100 records of the last ten seconds were settled within), ``fold_ms``,
``settle_ms``, ``partitions``, ``trouble`` and ``waits`` (for what, before it reads anything); the score step also,
where it knows, per model ``models: {NAME: {"p99_ms", "lag_ms"}}``, and of each version that answered of late
``versions: [{"model", "version", "role", "rows_per_s", "call_rows", "row_us", "padding", "busy", "failed"}]``. A
worker's ``serving`` is
``{MODEL: {"version", "epoch", "refused"?, "refused_epoch"?}}``.
Whatever is missing is shown as unknown.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from dashboards import words

Live = dict[str, Any]


class Refusal(msgspec.Struct, frozen=True):
    """A route that a worker could not follow: it goes on by the former one, if it has one."""

    role: str
    model: str
    version: str
    why: str

    @property
    def sentence(self) -> str:
        """In a sentence.

        >>> Refusal("worker-0", "churn", "v1", "no such file").sentence
        'worker-0 refused the newest route of churn and goes on with v1.'
        """
        on = f"goes on with {self.version}" if self.version else "serves none"
        return f"{self.role} refused the newest route of {self.model} and {on}."

    @property
    def reason(self) -> str:
        """The worker's own words."""
        return f"{self.role} on the newest route of {self.model}: {self.why}"


def refusals(live: Live, model: str = "") -> list[Refusal]:
    """Routes that stand refused, of one model or of all."""
    return [
        Refusal(role, name, serving.get("version") or "", serving["refused"])
        for role, state in live.get("roles", {}).items()
        for name, serving in state.get("serving", {}).items()
        if serving.get("refused") and model in ("", name)
    ]


def serving(live: Live, model: str) -> list[str]:
    """Versions of a model that workers serve, one unless they are about to follow a new route.

    >>> serving({"roles": {"worker-0": {"serving": {"churn": {"version": "v2"}}}, "store-0": {}}}, "churn")
    ['v2']
    """
    known = (state.get("serving", {}).get(model, {}).get("version") for state in live.get("roles", {}).values())
    return sorted({version for version in known if version})


def away(live: Live) -> list[str]:
    """What roles need and do not get, and which roles do not answer, a sentence each.

    >>> away({"roles": {"worker-0": {"waits": ["no broker"]}, "monitor-0": {"waits": ["no broker"]}}})
    ['worker-0, monitor-0 wait: no broker']
    """
    waiting: dict[str, list[str]] = {}
    silent = []
    for role, state in live.get("roles", {}).items():
        for why in state.get("waits", []):
            waiting.setdefault(why, []).append(role)
        if state.get("state") == "no answer":
            silent.append(f"{role} does not answer; `driftline status` says whether it runs")
    return [f"{', '.join(roles)} wait{'' if len(roles) > 1 else 's'}: {why}" for why, roles in waiting.items()] + silent


def idle(step: dict[str, Any]) -> bool:
    """Whether a step has nothing to do: nothing waits, nothing came of late."""
    return step.get("lag_rows") == 0 and not step.get("rows_per_s")


def behind(live: Live, model: str) -> str:
    """How far behind the slowest worker is with a model, in words.

    >>> behind({"roles": {"worker-0": {"steps": [{"step": "score", "lag_ms": 90_000, "lag_rows": 0}]}}}, "m")
    'idle'
    """
    known = list(steps(live, "score"))
    if known and all(idle(step) for _, step in known):
        return "idle"
    return words.span(lag_ms(live, model))


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
    """A step's figure summed over the processes that run it; None where none says it.

    Parameters
    ----------
    name
        Of the step: ``score``, ``count``, ``join``, ``judge`` or ``sink``.
    key
        Of a figure that can be added up, as ``rows_per_s`` or ``lag_rows``; see the module.
    """
    known = [step[key] for _, step in steps(live, name) if step.get(key) is not None]
    return sum(known) if known else None


def most(live: Live, name: str, key: str) -> float | None:
    """A step's largest figure among the processes that run it; None where none says it.

    Parameters
    ----------
    name
        Of the step, as of `total`.
    key
        Of a figure whose worst counts, as ``lag_ms`` or ``p99_ms``; see the module.
    """
    known = [step[key] for _, step in steps(live, name) if step.get(key) is not None]
    return max(known) if known else None
