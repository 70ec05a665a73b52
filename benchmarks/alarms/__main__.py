"""What a budget of false alarms buys: alarms of streams that do not change, and delays to changes, both by simulation.

    python -m benchmarks.alarms [--only CASE ...] [--seed 1] [--share 1.0]

Prints the tables, and keeps them in benchmarks/results/alarms.json; cases that were not asked for stay as they were.
One process, about half an hour; `--share 0.1` makes a tenth of the runs.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import msgspec

from benchmarks.alarms import cycles, employment, harm
from benchmarks.alarms.runs import Delay, Quiet, delay, quiet
from benchmarks.alarms.worlds import (
    MANY_LEVELS,
    MANY_MOVED,
    RARE_LEVELS,
    RARE_MOVED,
    Change,
    World,
    gather,
    heavy,
    households,
    many,
    more_rare,
    newcomers,
    normal,
    rare,
    scale,
    shift,
    uneven,
)

KEPT = Path(__file__).parent.parent / "results" / "alarms.json"
BUDGETS = (10_000.0, 1_000.0)

MOVES: dict[str, Change] = {"0.1 sd": shift(0.1), "0.2 sd": shift(0.2), "0.5 sd": shift(0.5), "sd x 1.25": scale(1.25)}
RARER: dict[str, Change] = {f"rare values x {k:g}": more_rare(k) for k in (1.5, 2, 4)}
GATHERED: dict[str, Change] = {f"{share:.0%} of rows to a tenth of the levels": gather(share) for share in (0.2, 0.5)}
GATHERED |= {f"a new level, {share:.0%} of rows": newcomers(share) for share in (0.03, 0.1)}
GOALS = {"0.1 sd": 18, "0.2 sd": 5, "0.5 sd": 1, "sd x 1.25": 2}

PLAIN = World("20 normal columns", normal)
HUNDRED = World("100 normal columns", normal, features=100)
THOUSAND = World("1,000 normal columns", normal, features=1_000)
SMALL_REFERENCE = World("a reference of 1,000 rows", normal, reference_rows=1_000)
HEAVY = World("t with 2 degrees, lognormal", heavy)
RARE = World("rare levels, 97 % zeros", rare, levels=RARE_LEVELS, moved=RARE_MOVED)
MANY = World("columns of many levels", many, levels=MANY_LEVELS, moved=MANY_MOVED)
MANY_SMALL = World(
    "many levels, a reference of 1,000", many, levels=MANY_LEVELS, moved=MANY_MOVED, reference_rows=1_000
)
TWENTY = World("windows of 20 rows", normal, rows=lambda rng: 20)
RARE_TWENTY = World("rare, windows of 20 rows", rare, levels=RARE_LEVELS, moved=RARE_MOVED, rows=lambda rng: 20)
UNEVEN = World("windows of 20 to 20,000 rows", normal, rows=uneven)
HOUSEHOLDS = World("households of 3, half in common", households)


class Case(msgspec.Struct):
    """What one case gave, when, and how long it took."""

    at: str
    seconds: float
    quiet: list[Quiet] = []
    delays: list[Delay] = []


class Kept(msgspec.Struct):
    """The file of results."""

    versions: dict[str, str]
    cases: dict[str, Case]


def _cases(seed: int, share: float) -> dict[str, Callable[[], Iterator[Quiet | Delay]]]:
    def times(runs: int) -> int:
        return max(2, round(runs * share))

    def silent(*worlds: tuple[World, int, int]) -> Callable[[], Iterator[Quiet | Delay]]:
        return lambda: (q for world, runs, windows in worlds for q in quiet(world, seed, times(runs), windows, BUDGETS))

    def late(moves: dict[str, Change], *worlds: tuple[World, int]) -> Callable[[], Iterator[Quiet | Delay]]:
        return lambda: (
            delay(world, seed, times(runs), BUDGETS[0], name, move, GOALS.get(name) if world is PLAIN else None)
            for world, runs in worlds
            for name, move in moves.items()
        )

    return {
        "delays": late(MOVES, (PLAIN, 40)),
        "no drift": silent((PLAIN, 120, 1_000)),
        "delays, other worlds": late(
            MOVES, (HUNDRED, 20), (SMALL_REFERENCE, 20), (HEAVY, 40), (TWENTY, 40), (UNEVEN, 20), (HOUSEHOLDS, 40)
        ),
        "delays, rare": late(RARER, (RARE, 20), (RARE_TWENTY, 20)),
        "many levels": silent((MANY, 20, 1_000), (MANY_SMALL, 20, 1_000)),
        "delays, many levels": late(GATHERED, (MANY, 18), (MANY_SMALL, 18)),
        "households": silent((HOUSEHOLDS, 40, 1_000)),
        "employment": lambda: iter([employment.quiet(seed, times(60), 300, BUDGETS[1])]),
        "no drift, other worlds": silent(
            (HEAVY, 20, 1_000),
            (RARE, 20, 1_000),
            (RARE_TWENTY, 10, 2_000),
            (UNEVEN, 20, 200),
            (TWENTY, 10, 2_000),
            (SMALL_REFERENCE, 20, 1_000),
        ),
        "harm": lambda: (harm.quiet(*world, seed, times(20), 500, BUDGETS[1]) for world in harm.WORLDS),
        "cycles": lambda: (cycles.quiet(*world, seed, times(10), BUDGETS[1]) for world in cycles.WORLDS),
        "1,000 columns": late(MOVES, (THOUSAND, 5)),
        "no drift, 100 and 1,000 columns": silent((HUNDRED, 6, 500), (THOUSAND, 2, 200)),
    }


def main() -> None:
    """Simulate, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0, help="share of the runs")
    parser.add_argument("--only", nargs="+", choices=list(_cases(1, 1)), default=list(_cases(1, 1)), metavar="CASE")
    parser.add_argument("--show", action="store_true", help="print what is kept, and simulate nothing")
    asked = parser.parse_args()
    cases = _cases(asked.seed, asked.share)
    kept = Kept(
        {name: version(name) for name in ("numpy", "scipy", "numba")} | {"python": platform.python_version()}, {}
    )
    if KEPT.exists():
        kept.cases = msgspec.json.decode(KEPT.read_bytes(), type=Kept).cases
    for name in () if asked.show else asked.only:
        print(f"{name} ...", file=sys.stderr)
        at, began = time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()), time.process_time()
        quiets, delays = list[Quiet](), list[Delay]()
        for result in cases[name]():  # Kept one by one: the last may take long.
            (quiets if isinstance(result, Quiet) else delays).append(result)
            kept.cases[name] = Case(at, round(time.process_time() - began, 1), quiets, delays)
            _keep(msgspec.structs.replace(kept, cases={k: kept.cases[k] for k in cases if k in kept.cases}))
    show(kept)


def _keep(kept: Kept) -> None:
    KEPT.write_bytes(msgspec.json.format(msgspec.json.encode(kept)) + b"\n")


def show(kept: Kept) -> None:
    """Print two Markdown tables: what quiet streams set off, and delays."""
    print("| no change | c | runs x windows | incidents | pages | rate of incidents, 95 % | promised | |")
    print("|---|---|---|---|---|---|---|---|")
    for q in (q for case in kept.cases.values() for q in case.quiet):
        verdict = "kept" if q.rate_low <= 1 / q.false_alarm_every else "BROKEN"
        if q.world in harm.GROWN:
            verdict = "no promise: it has grown"
        print(
            f"| {q.world} | {q.false_alarm_every:,.0f} | {q.runs} x {q.windows_each:,} | {q.incidents} | {q.pages} | "
            f"{q.rate_low:.1e} to {q.rate_high:.1e} | {1 / q.false_alarm_every:.0e} | {verdict} |"
        )
    print("\n| world | change of one column | windows to the incident | 10 % to 90 % of runs | found | goal |")
    print("|---|---|---|---|---|---|")
    for d in (d for case in kept.cases.values() for d in case.delays):
        goal = "" if d.goal is None else f"<= {d.goal:g}, {'met' if (d.median or 1e9) <= d.goal else 'MISSED'}"
        print(
            f"| {d.world} | {d.change} | {_windows(d.median)} | {_windows(d.low)} to {_windows(d.high)} | "
            f"{d.found} of {d.runs - d.early} | {goal} |"
        )


def _windows(number: float | None) -> str:
    return "more" if number is None else f"{number:g}"


if __name__ == "__main__":
    main()
