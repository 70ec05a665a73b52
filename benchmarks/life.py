"""A made life: a model that is fine, worse, much worse, fine, and worse again; is each turn told, and how soon?

    python -m benchmarks.life [--runs 10] [--rows-per-window 500] [--seed 1] [--only binary] [--labels tenth]
                              [--columns]

Lives of performance: for each task, each spelling of classes (numbers, text, true/false) and labels that are complete,
late (twelve windows) or known of one row in ten; the wait for
labels is left at its default of an hour. A turn for the worse is told by a page about performance, the recovery
by the end of the incident. Delays are windows of rows, the first changed one included; labels that come late are known
when their window is judged, so waiting for them is no part of it. Goal: each within 8 windows.

Below the lives of classes stands what the labels allow: a CUSUM of the share of wrong predictions that is told both
shares, before and after, with the same budget (its threshold is the logarithm of the windows between false alarms).
What knows neither share cannot be faster.

Lives of columns (`--columns`): a steady slow movement, a season, a level that vanishes and comes back, two at once.
"""

import argparse
import platform
import statistics
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

import drift
from benchmarks.late_labels import HOUR_MS, judge_stream
from drift import Reference
from streams.wire.records import Watch

TRAINED, PHASE, GOAL = 12_000, 20, 8
START = pd.Timestamp("2024-01-01", tz="UTC")
TURNS = ["worse", "much worse", "fine", "worse again"]
LATE_WINDOWS = 12

Draw = Callable[[np.random.Generator, int, float], pd.DataFrame]


class Task(NamedTuple):
    """Rows of a task, ``draw(rng, rows, harm)``, and its harm when worse and when much worse, by size of the change."""

    name: str
    draw: Draw
    harm: dict[str, tuple[float, float]]


def binary(rng: np.random.Generator, rows: int, harm: float) -> pd.DataFrame:
    """A calibrated score, 22 % wrong; ``harm`` turns labels over: 28, 36 and 50 % wrong at .107, .25 and .5."""
    x = rng.normal(size=rows)
    p = 1 / (1 + np.exp(-2 * x))
    return pd.DataFrame({"x": x, "p": p, "y": ((rng.random(rows) < p) ^ (rng.random(rows) < harm)).astype(int)})


def multiclass(rng: np.random.Generator, rows: int, harm: float) -> pd.DataFrame:
    """The top class's probability, 28 % wrong; ``harm`` makes hits misses: 35, 46 and 64 % wrong."""
    top, predicted = rng.uniform(0.45, 1, rows), rng.integers(0, 3, rows)
    hit = (rng.random(rows) < top) & (rng.random(rows) >= harm)
    return pd.DataFrame({"x": top, "p": top, "hat": predicted, "y": np.where(hit, predicted, (predicted + 1) % 3)})


def regression(rng: np.random.Generator, rows: int, harm: float) -> pd.DataFrame:
    """A value whose errors are ``1 + harm`` times those of the training data."""
    x = rng.normal(size=rows)
    return pd.DataFrame({"x": x, "p": 2 * x, "y": 2 * x + (1 + harm) * rng.normal(size=rows)})


TASKS = [
    Task("binary", binary, {"quarter": (0.107, 0.25), "large": (0.25, 0.5)}),
    Task("multiclass", multiclass, {"quarter": (0.1, 0.25), "large": (0.25, 0.5)}),
    Task("regression", regression, {"quarter": (0.25, 0.6), "large": (0.6, 1.5)}),
]
#: Classes by number; the score is the probability of the second one, which the alphabet puts first.
SPELLINGS: dict[str, list] = {"number": [0, 1, 2], "text": ["stayed", "churned", "asked"], "boolean": [False, True]}


def spelled(rows: pd.DataFrame, task: Task, spelling: str) -> pd.DataFrame:
    """Spell the classes of a table."""
    if task.name == "regression":
        return rows
    names = np.array(SPELLINGS[spelling], dtype=object if spelling == "text" else None)
    return rows.assign(**{name: names[rows[name]] for name in ("y", "hat") if name in rows})


class Turns(NamedTuple):
    """Windows until each turn was told (None: not within its phase), pages for nothing, and pages in all."""

    delays: list[int | None]
    false_pages: int
    pages: int


def life(task: Task, spelling: str, labels: str, size: str, seed: int, rows: int) -> Turns:
    """Live one life; labels are ``complete``, ``late`` or a ``tenth``."""
    rng = np.random.default_rng([seed, TASKS.index(task)])
    trained = spelled(task.draw(rng, TRAINED, 0.0), task, spelling)
    hat = "hat" if task.name == "multiclass" else None
    reference = Reference.fit(trained, task=task.name, score="p", prediction=hat, label="y")
    worse, much_worse = task.harm[size]
    parts = [task.draw(rng, PHASE * rows, harm) for harm in (0.0, worse, much_worse, 0.0, worse)]
    stream = spelled(pd.concat(parts, ignore_index=True), task, spelling)
    stream["ts"] = START + pd.to_timedelta(np.arange(len(stream)) // rows, unit="h")
    if labels == "tenth":
        stream["y"] = stream["y"].where(rng.random(len(stream)) < 0.1)
        if spelling == "number" and task.name != "regression":
            stream["y"] = stream["y"].astype("Int64")
    wait = LATE_WINDOWS * HOUR_MS if labels == "late" else 0
    watch = Watch(window_ms=HOUR_MS, false_alarm_every=10_000)  # It waits an hour for labels: nobody has set it.
    alerts = judge_stream(reference, stream, "ts", watch, wait).alerts
    return turns(alerts[alerts["kind"] == "performance"])


def turns(alerts: pd.DataFrame) -> Turns:
    """Read off the turns that were told."""
    window = ((pd.to_datetime(alerts["window_end"], unit="ms", utc=True) - START) // pd.Timedelta("1h")).to_numpy() - 1
    paged = (alerts["page"].astype(bool) & (alerts["event"] != "close")).to_numpy()
    closed = (alerts["event"] == "close").to_numpy()
    delays = list[int | None]()
    for turn, name in enumerate(TURNS, start=1):
        here = (window >= turn * PHASE) & (window < (turn + 1) * PHASE)
        told_at = window[here & (closed if name == "fine" else paged)]
        delays.append(int(told_at.min()) - turn * PHASE + 1 if len(told_at) else None)
    settled = (window < PHASE) | ((window >= 3 * PHASE + GOAL) & (window < 4 * PHASE))
    return Turns(delays, int((paged & settled).sum()), int(paged.sum()))


def lives(options: argparse.Namespace) -> Iterator[tuple[Task, str, str, str]]:
    """Every life that is asked for."""
    for task in TASKS:
        for spelling in ["number"] if task.name == "regression" else SPELLINGS:
            if not task.name.startswith(options.only) or (spelling == "boolean" and task.name == "multiclass"):
                continue
            for labels, size in (("complete", "quarter"), ("late", "quarter"), ("tenth", "large")):
                if labels.startswith(options.labels):
                    yield task, spelling, labels, size


def line(name: str, turns: list[Turns]) -> str:
    """Medians, worst, and how many runs told a turn in time."""
    cells = []
    for turn in range(len(TURNS)):
        delays = [run.delays[turn] or np.inf for run in turns]
        kept = sum(delay <= GOAL for delay in delays)
        cells.append(f"{_number(statistics.median(delays))} ({_number(max(delays))}), {kept} of {len(turns)}")
    pages = statistics.mean(run.pages for run in turns)
    return f"| {name} | {' | '.join(cells)} | {sum(run.false_pages for run in turns)} | {pages:.1f} |"


def told_both(task: Task, labels: str, size: str, rows: int, budget: float = 10_000) -> str:
    """Windows that a CUSUM needs which is told both shares of wrong predictions: median, ninth decile."""
    rng = np.random.default_rng(1)
    wrong = []
    for harm in (0.0, *task.harm[size]):
        drawn = task.draw(rng, 400_000, harm)
        wrong.append(float((drawn["y"] != (drawn["hat"] if "hat" in drawn else drawn["p"] >= 0.5)).mean()))
    cells = []
    for before, after in pairwise(wrong):
        labelled = rng.binomial(rows, 0.1 if labels == "tenth" else 1.0, (10_000, PHASE))
        missed = rng.binomial(labelled, after)
        grown = missed * np.log(after / before) + (labelled - missed) * np.log((1 - after) / (1 - before))
        delays = np.argmax(np.cumsum(grown, axis=1) >= np.log(budget), axis=1) + 1
        cells.append(f"{np.median(delays):g} ({np.quantile(delays, 0.9):g})")
    return f"told both shares, {task.name}, labels {labels}, {size}: worse {cells[0]}, much worse {cells[1]}"


def _number(windows: float) -> str:
    return "never" if np.isinf(windows) else f"{windows:g}"


# --- columns ----------------------------------------------------------------------------------------


def steady(rng: np.random.Generator, rows: int, windows: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """One of five columns moves a hundredth of a standard deviation a window, for ever."""
    x = rng.normal(size=(rows * windows, 5))
    x[:, 0] += 0.01 * np.maximum(np.arange(len(x)) // rows - 20, 0)
    return pd.DataFrame(x, columns=list("abcde")), {"a": 20}


def season(rng: np.random.Generator, rows: int, windows: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """One of five columns follows a slow wave of two standard deviations, the reference its trough."""
    x = rng.normal(size=(rows * windows, 5))
    x[:, 0] += 1 - np.cos(2 * np.pi * np.maximum(np.arange(len(x)) / rows - 20, 0) / 160)
    return pd.DataFrame(x, columns=list("abcde")), {"a": 20}


def vanishes(rng: np.random.Generator, rows: int, windows: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """A level of one row in ten is gone in windows 20 to 49, and comes back."""
    stream = pd.DataFrame(rng.normal(size=(rows * windows, 4)), columns=list("abcd"))
    level = rng.choice(["north", "south", "east", "west"], len(stream), p=[0.4, 0.3, 0.2, 0.1])
    gone = (np.arange(len(stream)) // rows >= 20) & (np.arange(len(stream)) // rows < 50)
    return stream.assign(level=np.where(gone & (level == "west"), "north", level)), {"level": 20, "-level": 50}


def two(rng: np.random.Generator, rows: int, windows: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """Two of five columns move by half a standard deviation in one window."""
    x = rng.normal(size=(rows * windows, 5))
    x[20 * rows :, :2] += 0.5
    return pd.DataFrame(x, columns=list("abcde")), {"a": 20, "b": 20}


def columns(options: argparse.Namespace) -> None:
    """Live the columns' lives, and print incidents, pages and delays."""
    print(
        "\n| life of a column | incidents | events | pages | told after, windows | back after | other columns named |"
    )
    print("|---|---|---|---|---|---|---|")
    for made, windows in ((steady, 180), (season, 180), (vanishes, 90), (two, 60)):
        incidents, events, pages, delays, back, others = [], [], [], [], [], 0
        for seed in range(options.seed, options.seed + options.runs):
            rng = np.random.default_rng([seed, windows])
            stream, when = made(rng, options.rows_per_window, windows)
            trained, _ = made(rng, 600, 20)
            alerts = drift.backtest(
                Reference.fit(trained), stream, rows_per_window=options.rows_per_window, false_alarm_every=10_000
            ).alerts
            incidents.append(alerts["incident"].nunique())
            events.append(len(alerts))
            pages.append(int((alerts["page"] & (alerts["event"] != "close")).sum()))
            others += sum(name not in when for names in alerts["columns"] for name in names)
            for name, at in when.items():
                named = alerts[[name.lstrip("-") in names for names in alerts["columns"]]]
                event = named[named["event"] == "close"] if name.startswith("-") else named
                after = event["window"][event["window"] >= at]
                (back if name.startswith("-") else delays).append(after.min() - at + 1 if len(after) else np.inf)
        spell = [f"{_number(statistics.median(d))} ({_number(max(d))})" if d else "" for d in (delays, back)]
        counts = [f"{statistics.mean(several):.1f} ({max(several)})" for several in (incidents, events, pages)]
        meaning = (made.__doc__ or "").strip().rstrip(".")
        print(f"| {made.__name__}: {meaning} | {' | '.join([*counts, *spell])} | {others} |", flush=True)


def main() -> None:
    """Live, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--rows-per-window", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="tasks whose name begins so")
    parser.add_argument("--labels", default="", help="lives whose labels begin so: complete, late, tenth")
    parser.add_argument("--columns", action="store_true", help="lives of columns alone")
    options = parser.parse_args()
    print(
        f"python {platform.python_version()}, numpy {np.__version__}; seeds {options.seed} to "
        f"{options.seed + options.runs - 1}; {TRAINED:,} rows trained on; phases of {PHASE} windows of "
        f"{options.rows_per_window} rows; one false alarm in 10,000 windows"
    )
    if not options.columns:
        print(f"windows until a turn was told: median (worst), runs within {GOAL}\n")
        print(f"| life | {' | '.join(TURNS)} | pages for nothing | pages a run |")
        print("|---|" + "---|" * (len(TURNS) + 2))
        for task, spelling, labels, size in lives(options):
            seeds = range(options.seed, options.seed + options.runs)
            turns = [life(task, spelling, labels, size, seed, options.rows_per_window) for seed in seeds]
            print(line(f"{task.name}, {spelling}, labels {labels}, {size}", turns), flush=True)
        print("\nwindows, median (nine in ten)")
        classes = {(TASKS.index(task), labels, size) for task, _, labels, size in lives(options)}
        for at, labels, size in sorted(found for found in classes if TASKS[found[0]].name != "regression"):
            print(told_both(TASKS[at], labels, size, options.rows_per_window))
    if options.columns:
        columns(options)


if __name__ == "__main__":
    main()
