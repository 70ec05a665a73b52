"""Columns of many levels: new ones and lucky ones are no drift, and what moves among them is."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import drift
from drift import Reference
from drift.cells import binning

WINDOW, WINDOWS, RUNS = 200, 100, 4


def alike(levels: int):
    return lambda rng, rows: rng.integers(0, levels, rows)


def zipf(exponent: float):
    return lambda rng, rows: rng.zipf(exponent, rows)


#: Levels of a row, and rows of the reference. Each of them opened an incident in all of its runs when new levels were
#: news and named ones were compared with the very counts that had chosen them.
SHAPES = {
    "500 alike": (alike(500), 20_000),
    "200 alike": (alike(200), 5_000),
    "100 alike": (alike(100), 2_000),
    "150 alike, hardly seen": (alike(150), 300),
    "2,500 alike, hardly seen": (alike(2_500), 5_000),
    "steep": (zipf(1.3), 3_000),
    "steeper": (zipf(2.2), 3_000),
    "identifiers": (alike(2**50), 3_000),
}


def table(draw, rng: np.random.Generator, rows: int) -> pd.DataFrame:
    return pd.DataFrame({"shop": [f"s{n}" for n in draw(rng, rows)]})


def opened(reference: Reference, stream: pd.DataFrame, every: float = 1_000.0) -> pd.DataFrame:
    alerts = drift.backtest(reference, stream, rows_per_window=WINDOW, false_alarm_every=every).alerts
    return alerts[alerts["event"] == "open"]


@pytest.mark.system  # draws many tables
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_like_the_references_are_no_drift(shape):
    """Promised is an incident in one of ten runs at the most; three in four would be there with a chance of .0037."""
    draw, rows = SHAPES[shape]
    found = 0
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        reference = Reference.fit(table(draw, rng, rows))
        found += not opened(reference, table(draw, rng, WINDOW * WINDOWS)).empty
    assert found <= 2


@pytest.mark.parametrize("shape", ["500 alike", "steep", "steeper"])
def test_a_level_that_is_new_and_common_is(shape):
    rng = np.random.default_rng(7)
    draw, rows = SHAPES[shape]
    stream = table(draw, rng, 30 * WINDOW)
    late = np.arange(len(stream)) >= 20 * WINDOW
    stream.loc[late & (rng.random(len(stream)) < 0.15), "shop"] = "opened today"
    first = opened(Reference.fit(table(draw, rng, rows)), stream, 10_000.0).iloc[0]
    assert 20 <= first["window"] <= 26  # among others that are a third of the rows it takes longest


def test_rows_that_gather_in_a_tenth_of_the_levels_are():
    rng = np.random.default_rng(11)
    reference = Reference.fit(table(alike(500), rng, 20_000))
    before, after = alike(500)(rng, 20 * WINDOW), alike(500)(rng, 10 * WINDOW)
    after = np.where(rng.random(len(after)) < 0.5, after // 10 * 10, after)
    stream = pd.DataFrame({"shop": [f"s{n}" for n in np.concatenate([before, after])]})
    first = opened(reference, stream, 10_000.0).iloc[0]
    assert 20 <= first["window"] <= 25


def test_the_references_own_rows_bring_no_incident():
    rng = np.random.default_rng(3)
    for draw, rows in (SHAPES["steep"], SHAPES["identifiers"], SHAPES["150 alike, hardly seen"]):
        own = table(draw, rng, rows)
        assert opened(Reference.fit(own), own).empty


@pytest.mark.parametrize("levels", [90, 500, 2_000])
def test_the_bias_is_what_the_next_rows_show(levels):
    """The oracle: levels that are alike have their share of the next rows, whatever they had of these."""
    rng = np.random.default_rng(levels)
    over, missed = [], []
    for _ in range(40):
        counts = {str(level): int(n) for level, n in enumerate(np.bincount(rng.integers(0, levels, 100 * levels)))}
        named, others, _ = binning.levels(counts)
        share = len(named) / levels
        chance = np.sqrt(100 * levels * share * (1 - share))  # what their rows vary by in any case
        over.append((sum(counts[level] for level in named) - 100 * len(named)) / chance)
        missed.append(over[-1] - binning.selection_bias(counts, named, others) / chance)
    assert np.mean(over) > 6
    assert abs(np.mean(missed)) < 2
    assert np.std(missed) < 2


@settings(max_examples=30)
@given(st.dictionaries(st.text("abcdefgh", min_size=1), st.integers(1, 400), min_size=1, max_size=120))
def test_what_is_expected_adds_up_and_is_the_counts_where_nothing_was_chosen(counts):
    rows = pd.DataFrame({"shop": np.repeat(list(counts), list(counts.values()))})
    reference = Reference.fit(rows)
    (cells,) = reference.columns
    assert reference.expected.sum() == reference.counts.sum() == len(rows)
    assert (reference.expected >= 0).all()
    if cells.other is None:
        assert reference.expected.tolist() == reference.counts.tolist()
    again = Reference.from_bytes(reference.to_bytes())
    assert again.expected.tolist() == reference.expected.tolist()
    assert again.id == reference.id


def test_what_a_schema_lists_is_known_though_it_is_rare():
    """A list that names more than the rows hold was not made of them: what it lists is not there by chance."""
    counts = {"a": 500} | {f"r{n}": 1 for n in range(8)}
    assert binning.levels(counts)[2]
    assert binning.levels(counts, known=("a", *(f"r{n}" for n in range(8))))[2]
    assert not binning.levels(counts, known=("a", "never", *(f"r{n}" for n in range(8))))[2]
    assert not binning.levels(counts, closed=True)[2]
