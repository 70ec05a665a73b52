"""What runs now: roles that crash, steps that hang behind, and what is refused."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from driftline.doctor.finding import Finding, State, failing
from driftline.doctor.log import has
from driftline.roles import parts
from driftline.settings import Settings
from driftline.supervisor import crashes
from streams.clock import now_ms

#: A step whose oldest record has waited for longer than this hangs behind.
LAG_MS_MAX = 60_000
#: Minutes looked back, and dead letters read of each partition at the most.
_REFUSED_MINUTES = 10
_LETTERS_MAX = 20_000
_REASONS_MAX = 3


def roles(settings: Settings) -> Iterator[Finding]:
    """Every role that `driftline up` runs: whether it stays up, and makes progress. Says nothing where none runs."""
    from driftline.roles.run_file import RunFileError, running

    try:
        run = running(settings.data_dir)
    except RunFileError:  # `machine.ports` says so
        return
    if not run:
        return
    if run.get("state") == "starting":
        waits = ", ".join(f"{name} ({why})" for name, why in run["waits"].items()) or "just begun"
        yield Finding("roles", "note", f"starting: waiting for {waits}", "driftline status")
    yield from judged({**run.get("starting", {}), **run["roles"]}, now_ms())


def judged(states: Mapping[str, Any], now: int) -> Iterator[Finding]:
    """Findings about roles as `driftline status --json` shows them."""
    wrong = [finding for name, role in states.items() for finding in _role(name, role, now)]
    yield from wrong
    if states and not any(finding.state in ("warn", "fail") for finding in wrong):
        yield Finding("roles", "ok", f"{', '.join(states)}: up, none has ended of late")


def _role(name: str, role: Mapping[str, Any], now: int) -> Iterator[Finding]:
    if text := crashes.recent(role, now):
        loops = crashes.ends(role, now) >= crashes.LOOP_MIN or role["state"] != "up"
        fix = f"mend what the text names; all of it is in {role['log']}"
        yield Finding("roles", "fail" if loops else "warn", f"{name} has {text}", fix)
    for away in role.get("waits", []):
        yield Finding("roles", "warn", f"{name} waits: {away}", _fix(away))
    for step in role.get("steps", []):
        where = f"{name}, {step['step']}"
        if step["trouble"]:
            yield failing("roles", f"{where} makes no progress: {step['trouble']}", f"see {role['log']}")
        elif step["lag_rows"] and (step["lag_ms"] or 0) > LAG_MS_MAX:
            text = f"{where}: {step['lag_rows']:,} rows wait, the oldest for {step['lag_ms'] / 1000:,.0f} s"
            more = "roles.workers = 2" if step["step"] == "score" else f"see {role['log']}"
            yield Finding("roles", "warn", text, more)
        if step.get("waits"):
            # A wait that names a command is a fault; one that names none (a worker without a route) is a fresh start.
            state: State = "warn" if "`" in step["waits"] or step["lag_rows"] else "note"
            yield Finding("roles", state, f"{where} waits: {step['waits']}", _fix(step["waits"]))
        for when, note in step.get("notes", []):
            if when > now - crashes.WITHIN_MS:
                yield Finding("roles", "note", f"{where}: {note}")


def _fix(waits: str) -> str:
    """The command that a text names between backticks, else where to look.

    >>> _fix("topic answers is not there yet; `driftline topics create answers`"), _fix("no model is routed")
    ('driftline topics create answers', 'driftline status')
    """
    command = waits.partition("`")[2].partition("`")[0]
    return command or "driftline status"


def refused(settings: Settings) -> Iterator[Finding]:
    """What became a dead letter in the last minutes, by its reason. Says nothing where the log or the topic is away."""
    from streams.wire.dead_letters import IN_WORDS as IN_FULL

    log = parts.cluster(settings)
    if not has(log, "dead-letters"):
        return
    counts, whole = _recent(log)
    if not counts:
        yield Finding("refused", "ok", f"nothing in the last {_REFUSED_MINUTES} minutes")
        return
    words: dict[str, str] = {reason: text.partition(";")[0] for reason, text in IN_FULL.items()}
    reasons = "; ".join(
        f"{n:,} by {stage}: {words.get(reason, reason)}" for (reason, stage), n in counts.most_common(_REASONS_MAX)
    )
    more = f"; {len(counts) - _REASONS_MAX} other reasons" if len(counts) > _REASONS_MAX else ""
    records = "record was" if counts.total() == 1 else "records were"
    total = f"{'' if whole else 'more than '}{counts.total():,} {records}"
    text = f"{total} refused in the last {_REFUSED_MINUTES} minutes: {reasons}{more}"
    yield Finding("refused", "warn", text, f"driftline dead-letters list --from -{_REFUSED_MINUTES}m")


def _recent(log: Any) -> tuple[Counter[tuple[str, str]], bool]:
    """Letters of the last minutes by reason and stage; and whether they are all of them, for the newest are read."""
    from streams.kafka import ranges
    from streams.wire.dead_letters import DEAD_LETTERS, letters

    counts: Counter[tuple[str, str]] = Counter()
    whole = True
    ends = ranges.bounds(log, DEAD_LETTERS)
    for partition, start in ranges.at_time(log, DEAD_LETTERS, now_ms() - _REFUSED_MINUTES * 60_000).items():
        end = ends[partition][1]
        first = max(start, end - _LETTERS_MAX)
        whole = whole and first == start
        for block in ranges.read(log, DEAD_LETTERS, partition, first, end):
            counts.update((letter.reason, letter.stage) for letter in letters(block))
    return counts, whole
