"""One column may have a tolerance of its own, or be left out: counted and shown, and never evidence."""

import math

import msgspec
import numpy as np
import pandas as pd
import pytest

import drift
from drift.reference.baseline import Baseline
from drift.reference.tolerances import column_tolerance
from streams.wire.records import ColumnWatch, Route, Watch

EVERY = 100.0


def table(rows: int, shift: float = 0.0, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {"debug_x": rng.normal(shift, 1, rows), "y": rng.normal(size=rows), "c": rng.choice(["a", "b"], rows)}
    )


@pytest.fixture(scope="module")
def reference() -> drift.Reference:
    return drift.Reference.fit(table(4_000))


@pytest.fixture(scope="module")
def moved() -> pd.DataFrame:
    return pd.concat([table(2_000, seed=1), table(4_000, 1.0, seed=2)], ignore_index=True)


def run(reference: drift.Reference, rows: pd.DataFrame, **watch):
    return drift.backtest(reference, rows, rows_per_window=500, watch=Watch(false_alarm_every=EVERY, **watch))


@pytest.mark.parametrize(
    "left_out",
    [{"exclude": ("debug_x",)}, {"exclude": ("debug_*",)}, {"columns": {"debug_x": ColumnWatch(exclude=True)}}],
)
def test_a_column_that_is_left_out_is_shown_and_opens_nothing(reference, moved, left_out):
    plain = run(reference, moved)
    assert any("debug_x" in str(columns) for columns in plain.alerts["columns"])
    without = run(reference, moved, **left_out)
    assert len(without.alerts) == 0
    shown, before = (r.reports[r.reports["column"] == "debug_x"] for r in (without, plain))
    assert shown["effect"].tolist() == before["effect"].tolist() and len(shown) > 0
    assert (shown["evidence"] == 0).all() and not shown["drifted"].any()


def test_the_others_share_what_a_column_leaves(reference):
    baseline = Baseline(reference)
    every, two = baseline.shares(Watch()), baseline.shares(Watch(exclude=("debug_*",)))
    assert math.isclose(every.sum(), 1) and math.isclose(two.sum(), 1)
    names = [cells.name for cells in reference.columns]
    assert two[names.index("debug_x")] == 0
    assert two[names.index("y")] == pytest.approx(every[names.index("y")] * 1.5)
    assert baseline.shares(Watch(exclude=("*",))).tolist() == [0, 0, 0]


def test_with_every_column_left_out_nothing_is_ever_said(reference, moved):
    assert len(run(reference, moved, exclude=("*",)).alerts) == 0


def test_a_tolerance_of_its_own_holds_for_that_column_alone(reference, moved):
    """The shift of one standard deviation is a KS of 2 * Phi(1/2) - 1 = 0.383."""
    wide = {"columns": {"debug_x": ColumnWatch(tolerance=0.6)}}
    assert run(reference, moved).alerts["page"].any() or (run(reference, moved).alerts["severity"] != "").any()
    watch = Watch(**wide)
    assert (column_tolerance(watch, "debug_x", "ks"), column_tolerance(watch, "y", "ks")) == (0.6, 0.05)
    told = run(reference, moved, **wide)
    assert not told.reports[told.reports["column"] == "debug_x"]["drifted"].any()  # it has changed, and does not matter
    assert not told.alerts["page"].any()


def test_a_route_carries_it_and_an_older_one_is_read():
    watch = Watch(columns={"age": ColumnWatch(tolerance=0.1)}, exclude=("debug_*",))
    route = Route(model="m", epoch=1, ts=0, champion="v1", watch=watch)
    assert msgspec.json.decode(msgspec.json.encode(route), type=Route) == route
    older = msgspec.to_builtins(Route(model="m", epoch=1, ts=0, champion="v1"))
    del older["watch"]["columns"], older["watch"]["exclude"]
    assert msgspec.convert(older, Route).watch == Watch()


@pytest.mark.parametrize("tolerance", [0.0, -0.1, 1.5, float("nan")])
def test_a_tolerance_that_cannot_hold_is_refused_by_its_column(tolerance):
    with pytest.raises(ValueError, match=r"columns\.age\.tolerance is .*or more, and at most 1"):
        Watch(columns={"age": ColumnWatch(tolerance=tolerance)})
