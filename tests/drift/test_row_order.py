"""The order of a reference's rows: by time, as they stand, or unknown."""

import numpy as np
import pandas as pd
import pytest

from drift import Reference
from drift.cells.frames import FrameError
from drift.reference import file as reference_file
from driftline.commands.references import assumed_order


def cycle(start: str, days: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    """Rows twice a minute with a cycle of the day and a weekend."""
    random = np.random.default_rng(seed)
    times = pd.date_range(start, periods=days * 2880, freq="30s", tz="UTC")
    wave = np.sin(2 * np.pi * ((times.hour + times.minute / 60).to_numpy() - 9) / 24)
    weekend = (times.dayofweek >= 5).astype(float)
    amount = 50 + 15 * wave + 10 * weekend + random.normal(0, 10, len(times)) + shift
    share = 1 / (1 + np.exp(-(wave - weekend / 2)))
    return pd.DataFrame(
        {"ts": times, "amount": amount, "channel": np.where(random.random(len(times)) < share, "a", "b")}
    )


WEEK = cycle("2024-01-01", 7, 1)
MIXED = WEEK.sample(frac=1, random_state=1).reset_index(drop=True)


def test_rows_that_were_mixed_are_put_in_order_by_their_times():
    mended, straight = Reference.fit(MIXED, time="ts"), Reference.fit(WEEK, time="ts")
    np.testing.assert_array_equal(mended.design_effects, straight.design_effects)
    assert mended.id == straight.id
    assert [cells.name for cells in mended.columns] == ["amount", "channel"]
    # Rows of an hour have the cycle in common: the effect of blocks of hours is far from that of independent rows.
    assert mended.design_effects.max() > 50 and Reference.fit(MIXED, order="file").design_effects.max() < 2


def test_times_beside_the_rows_tell_whether_they_are_mixed():
    assert Reference.fit(WEEK).order == Reference.fit(WEEK, exclude=("ts",)).order == "time"
    mixed = Reference.fit(MIXED, exclude=("ts",))
    assert mixed.order == "unknown"
    assert any("rows look mixed" in note and "time='ts'" in note for note in mixed.notes)
    assert Reference.fit(MIXED, exclude=("ts",), order="file").order == "file"


def test_without_times_the_order_of_the_file_is_taken_and_said():
    found = Reference.fit(WEEK.drop(columns="ts"))
    assert found.order == "file"
    assert "no column of times is named" in assumed_order(found, None, None)
    assert not assumed_order(found, None, "file")
    assert not assumed_order(Reference.fit(WEEK), None, None)


def test_rows_sorted_by_a_value_are_mixed_where_their_order_is_unknown():
    ordered = pd.DataFrame({"x": np.arange(2_000.0)})
    assert Reference.fit(ordered).checks == ("x",)
    found = Reference.fit(ordered, order="unknown")
    assert (found.checks, found.design_effects.max()) == ((), 1.0)


@pytest.mark.parametrize("known", [{"time": "ts", "order": "unknown"}, {"order": "time"}, {"time": "when"}])
def test_contradictions_are_refused(known):
    with pytest.raises(FrameError):
        Reference.fit(WEEK, **known)


def test_the_time_is_no_feature_and_has_no_gaps():
    with pytest.raises(FrameError, match="no feature"):
        Reference.fit(WEEK, time="ts", features=["ts", "amount"])
    with pytest.raises(FrameError, match="without a time"):
        Reference.fit(WEEK.assign(ts=WEEK.ts.where(WEEK.index != 7)), time="ts")


def test_the_order_travels_and_older_references_keep_their_ids():
    """A head without the field is what was written before it, and so is its hash."""
    found = Reference.fit(MIXED, time="ts")
    assert Reference.from_bytes(found.to_bytes()).order == "time"
    older = reference_file._written(Reference.fit(WEEK.drop(columns="ts")))
    assert "order" not in older and reference_file._written(found)["order"] == "time"
