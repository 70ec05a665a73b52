"""The rows of the table: each is a comparison within one run, repeated in turns."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.log.arena import Arena, Contest, Pace, Result

_HERE = Path(__file__).parent
OURS = [sys.executable, "-m", "benchmarks.log.contestants.ours"]
BARE = [sys.executable, str(_HERE / "contestants" / "bare.py")]
STOCK = [sys.executable, str(_HERE / "contestants" / "stock_faust.py")]
_HAND_OFF = [sys.executable, "-m", "benchmarks.log.contestants.hand_off"]
_HAND_OFF_S_MAX = 120


class Sizes(NamedTuple):
    """How much of everything: ``rows`` wait for each contestant, which is measured for ``seconds``, ``runs`` times."""

    rows: int
    seconds: float
    runs: int
    soak_rows: int


Contestant = Callable[[], Pace]


def in_turns(contestants: Mapping[str, Contestant], runs: int) -> dict[str, list[Pace]]:
    """Measure each contestant so often, in turns, so that a busy minute of the machine hits all of them."""
    found: dict[str, list[Pace]] = {name: [] for name in contestants}
    for _ in range(runs):
        for name, contestant in contestants.items():
            pace = contestant()
            found[name].append(pace)
            told = f"{pace.rate:>10,.0f} rows/s {pace.cpu_us:>7.1f} us of CPU a row, load {os.getloadavg()[0]:.1f}"
            print(f"  {name:<14}{told}", file=sys.stderr)
    return found


def compared(
    name: str,
    paces: Mapping[str, Sequence[Pace]],
    ours: str,
    other: str,
    goal: float,
    load: float,
    *,
    of: Callable[[Pace, Pace], float] = lambda ours, other: ours.rate / other.rate,
    unit: str = "x",
    note: str = "",
) -> Result:
    """Compare two contestants, pair by pair; ``of`` makes a number of a pair, and more is better."""
    ratios = [of(a, b) for a, b in zip(paces[ours], paces[other], strict=True)]
    cpu = statistics.median(b.cpu_us / a.cpu_us for a, b in zip(paces[ours], paces[other], strict=True))
    value = statistics.median(ratios)
    return Result(
        name=name,
        unit=unit,
        value=value,
        low=min(ratios),
        high=max(ratios),
        goal=f">= {goal:g}",
        met=value >= goal,
        load_before=load,
        measured={key: [as_numbers(pace) for pace in paces[key]] for key in (ours, other)},
        note=f"by CPU time {cpu:.2f}" + (f"; {note}" if note else ""),
    )


def as_numbers(pace: Pace) -> dict[str, float]:
    """A pace as the JSON keeps it."""
    return {
        "rows": pace.rows,
        "seconds": round(pace.seconds, 3),
        "rows_per_s": round(pace.rate),
        "cpu_us_per_row": round(pace.cpu_us, 2),
    }


def hand_off(arena: Arena, sizes: Sizes) -> list[Result]:
    """Blocks to a Faust agent against a bare librdkafka loop over the same topic."""
    load, rows = os.getloadavg()[0], sizes.rows * 2
    prefix = arena.filled("hand-off", rows)

    def contestant(kind: str) -> Contestant:
        def measure() -> Pace:
            command = arena.command(_HAND_OFF, prefix, kind, str(rows))
            done = subprocess.run(command, capture_output=True, text=True, timeout=_HAND_OFF_S_MAX, check=False)
            assert done.returncode == 0, done.stderr[-2_000:]
            return Pace(**json.loads(done.stdout.splitlines()[-1]))

        return measure

    paces = in_turns({kind: contestant(kind) for kind in ("ours", "bare")}, sizes.runs)
    return [compared("hand-off against a bare consumer", paces, "ours", "bare", 0.8, load)]


def _entry(arena: Arena, prefix: str, sizes: Sizes, *commands: Sequence[str]) -> Pace:
    with arena.begin(prefix, *commands) as contest:
        return contest.pace(sizes.seconds, sizes.rows)


def path(arena: Arena, sizes: Sizes) -> list[Result]:
    """The whole path against stock Faust, against a hand-written loop, and without its transactions."""
    load, prefix, registry = os.getloadavg()[0], arena.filled("path", sizes.rows), arena.registry("torch")

    def contestant(program: list[str], *flags: str) -> Contestant:
        return lambda: _entry(arena, prefix, sizes, arena.command(program, prefix, registry, *flags))

    paces = in_turns(
        {
            "ours": contestant(OURS),
            "bare": contestant(BARE),
            "at least once": contestant(OURS, "--at-least-once"),
            "stock Faust": contestant(STOCK),
        },
        sizes.runs,
    )
    more = "ours also publishes observations and headers, validates, and can refuse"
    return [
        compared("whole path against stock Faust", paces, "ours", "stock Faust", 25, load, note=more),
        compared("whole path against a hand-written loop", paces, "ours", "bare", 0.8, load, note=more),
        compared(
            "throughput kept with exactly-once",
            paces,
            "ours",
            "at least once",
            0.85,
            load,
            note="the cost is what is missing to 1",
        ),
    ]


def workers(arena: Arena, sizes: Sizes) -> list[Result]:
    """Two workers against one, by CPU time a row."""
    load, prefix, registry = os.getloadavg()[0], arena.filled("workers", sizes.rows), arena.registry("torch")

    def contestant(count: int) -> Contestant:
        def measure() -> Pace:
            run = arena.run()
            names = [f"{run}.{n}" for n in range(count)]  # slots of one group
            return _entry(arena, prefix, sizes, *(arena.command(OURS, prefix, registry, run=name) for name in names))

        return measure

    paces = in_turns({"two": contestant(2), "one": contestant(1)}, sizes.runs)
    return [
        compared(
            "efficiency of two workers",
            paces,
            "two",
            "one",
            0.85,
            load,
            of=lambda two, one: one.cpu_us / two.cpu_us,
            note=f"{os.cpu_count()} cores hold both workers and the broker, so CPU time a row is compared, not speed",
        )
    ]


def memory(arena: Arena, sizes: Sizes) -> list[Result]:
    """Resident memory after many rows against after a tenth of them."""
    load, total = os.getloadavg()[0], sizes.soak_rows
    prefix, registry = arena.filled("memory", total + total // 20), arena.registry("torch")
    with arena.begin(prefix, arena.command(OURS, prefix, registry)) as contest:
        first = _resident(contest, total // 10, 60 + total / 50_000)
        last = _resident(contest, total, 60 + total / 5_000)
    ratio = last["mb"] / first["mb"]
    return [
        Result(
            name=f"memory after {total / 1e6:g} M rows against after {total / 1e7:g} M",
            unit="x",
            value=ratio,
            low=ratio,
            high=ratio,
            goal="<= 1.05",
            met=ratio <= 1.05,
            load_before=load,
            measured={"resident": [first, last]},
            note=f"{first['mb']:,.0f} MB, then {last['mb']:,.0f} MB; one run",
        )
    ]


def _resident(contest: Contest, rows: int, within_s: float) -> dict[str, float]:
    """Resident memory once so many rows are settled: the median of two seconds, because blocks come and go."""
    first = contest.wait_for(rows, within_s)
    several = [first.resident_mb]
    for _ in range(20):
        time.sleep(0.1)
        several.append(contest.seen().resident_mb)
    found = {"rows": first.rows, "mb": round(statistics.median(several), 1)}
    print(f"  after {found['rows']:,} rows {found['mb']:,.0f} MB", file=sys.stderr)
    return found
