"""Days and weeks that repeat: streams with the cycle of their training data, and no drift."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

import drift
from benchmarks.alarms.runs import Quiet, summed
from drift import Reference

HOURS_TRAINED, HOURS = 7 * 24, 28 * 24
ROWS_AN_HOUR, WINDOW = 120, "1h"
MONDAY = pd.Timestamp("2024-01-01", tz="UTC")

Draw = Callable[[np.random.Generator, pd.Timestamp, int], pd.DataFrame]
Order = Callable[[pd.DataFrame, int], tuple[pd.DataFrame, dict[str, str]]]


def week(rng: np.random.Generator, start: pd.Timestamp, hours: int, closed: bool = False) -> pd.DataFrame:
    """Rows of a model whose inputs, and so its scores, follow the hour and the weekend; its labels keep to the scores.

    ``closed`` leaves out the hours before five.
    """
    rows = hours * ROWS_AN_HOUR
    ts = start + pd.to_timedelta(np.arange(rows) * 3600 // ROWS_AN_HOUR, unit="s")
    hour, weekend = (ts.hour + ts.minute / 60).to_numpy(), (ts.dayofweek >= 5).astype(float)
    wave = np.sin(2 * np.pi * (hour - 9) / 24)
    amount = 50 + 15 * wave + 10 * weekend + rng.normal(0, 10, rows)
    chance = 1 / (1 + np.exp(-(amount - 50) / 15))
    channel = np.where(rng.random(rows) < 1 / (1 + np.exp(-(wave - 0.5 * weekend))), "app", "web")
    y = (rng.random(rows) < chance).astype(int)
    found = pd.DataFrame({"ts": ts, "amount": amount, "channel": channel, "other": rng.normal(size=rows)})
    found = found.assign(p=chance, hat=(chance >= 0.5).astype(int), y=y)
    return found[hour >= 5] if closed else found


def _in_order(trained: pd.DataFrame, _seed: int) -> tuple[pd.DataFrame, dict[str, str]]:
    return trained.drop(columns="ts"), {}


def _mixed(trained: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, dict[str, str]]:
    return trained.drop(columns="ts").sample(frac=1, random_state=seed), {}


def _mixed_with_time(trained: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, dict[str, str]]:
    return trained.sample(frac=1, random_state=seed), {"time": "ts"}


#: Name, rows, and in what order, and with what said of it, they are fitted.
WORLDS: list[tuple[str, Draw, Order]] = [
    ("a daily and weekly cycle, in order", week, _in_order),
    ("a daily and weekly cycle, rows mixed", week, _mixed),
    ("a daily and weekly cycle, rows mixed, time named", week, _mixed_with_time),
    ("the same, closed at night, in order", partial(week, closed=True), _in_order),
    ("the same, closed at night, rows mixed", partial(week, closed=True), _mixed),
]


def quiet(name: str, draw: Draw, order: Order, seed: int, runs: int, every: float) -> Quiet:
    """Run four weeks of hours against the week before; the first incident of any kind counts, and any page."""
    opened, pages = list[int | None](), 0
    for run in range(runs):
        for_reference, for_stream = np.random.default_rng([seed, run]).spawn(2)
        trained, row_order = order(draw(for_reference, MONDAY, HOURS_TRAINED), seed + run)
        reference = Reference.fit(trained, task="binary", score="p", prediction="hat", label="y", **row_order)
        stream = draw(for_stream, MONDAY + pd.Timedelta("7D"), HOURS)
        alerts = drift.backtest(reference, stream, time="ts", window=WINDOW, false_alarm_every=every).alerts
        start = stream["ts"].iloc[0].floor(WINDOW)
        opened.append(None if alerts.empty else int((alerts["window"].iloc[0] - start) / pd.Timedelta(WINDOW)))
        pages += bool(alerts["page"].any())
    return summed(name, 5, every, seed, HOURS, opened, pages)
