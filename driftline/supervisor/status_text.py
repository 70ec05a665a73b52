"""What `driftline status` prints."""

from collections.abc import Iterator, Mapping
from typing import Any

from dashboards import words
from driftline.supervisor.crashes import recent
from driftline.supervisor.startup import waiting_text
from streams.clock import now_ms


def lines(run: Mapping[str, Any]) -> Iterator[str]:
    """What `run_file.running` has found, a line each."""
    if run.get("state") == "starting":
        yield f"starting: {waiting_text(run['waits']) if run['waits'] else 'just begun'}"
    for name in ("kafka", "clickhouse", "page"):
        yield f"{name:<12} {run[name]}"
    for name, role in {**run.get("starting", {}), **run["roles"]}.items():
        restarts = f"{role['restarts']} restart{'' if role['restarts'] == 1 else 's'}"
        yield f"{name:<12} {role['state']:<12} pid {role['pid'] or '-'}, {restarts}"
        if crashes := recent(role, now_ms()):
            yield f"  ! {crashes}"
        for away in role.get("waits", []):
            yield f"  waiting: {away}"
        for step in role.get("steps", []):
            yield f"  {step['step']:<10} {'; '.join(_step(step))}"


def _step(step: Mapping[str, Any]) -> Iterator[str]:
    if step["lag_rows"]:
        oldest = "" if step["lag_ms"] is None else f", the oldest for {words.span(step['lag_ms'])}"
        yield f"{step['lag_rows']:,} rows wait{oldest}"
    elif not step.get("waits"):
        yield "nothing waits"
    if step["trouble"]:
        yield step["trouble"]
    if step.get("waits"):
        yield f"waiting: {step['waits']}"
