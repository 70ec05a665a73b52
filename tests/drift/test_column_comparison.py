"""A comparison gives, for all columns at once, what the formulas give column by column."""

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from drift import Reference
from drift.cells.sums import sum_rows
from drift.reference.column_statistics import ColumnComparison
from drift.statistics import effect, psi, tvd, wasserstein
from drift.statistics.ks import bias as ks_bias
from drift.statistics.ks import gaps, ks
from drift.statistics.shares import occupied, shares
from drift.statistics.tvd import bias as tvd_bias

Z95 = 1.959964
EXACT = pytest.approx


def plain_effect(kind, was, now, design_effect):
    """Raw, bias, value, low, high, as STATISTICS has them: one column at a time."""
    n, reference_n = now.sum(), was.sum()

    def variance(k, total):
        share = (k + 1) / (total + 2)
        return share * (1 - share) / (total + 2)

    def without(raw, bias):
        return np.sqrt(max(0.0, raw**2 - bias**2))

    if kind == "numeric":
        gap = np.abs(gaps(was, now))[:-1]
        at = gap.argmax()
        raw, bias = gap[at], ks_bias(n, reference_n, design_effect)
        reach = Z95 * np.sqrt(design_effect * sum(variance(c[: at + 1].sum(), c.sum()) for c in (was, now)))
        return raw, bias, without(raw, bias), max(0.0, without(raw, bias) - reach), min(1.0, raw + reach)
    raw, bias = tvd(was, now), tvd_bias(was, now, design_effect)
    risen = shares(now) > shares(was)
    reach = Z95 * np.sqrt(design_effect * sum(variance(c[risen].sum(), c.sum()) for c in (was, now)))
    return raw, bias, without(raw, bias), without(max(0.0, raw - reach), bias), min(1.0, raw + reach)


def polygon(edges, counts, ends):
    """Distribution function of one column: (x, y) of its corners."""
    (low, high), n = ends, counts.sum()
    inside = (edges > low) & (edges < high)
    below, inner = np.cumsum(counts)[:-1][inside] / n, edges[inside]
    if not len(inner):
        return np.array([np.nextafter(low, -np.inf), high]), np.array([0.0, 1.0])

    def tail(reach, share):
        at = np.arange(1, 17) / 16
        if share > 0.02:
            return at * reach, 1 - at
        rate = np.log(share * n + 1) or 1.0
        return at * reach, (np.exp(-rate * at) - np.exp(-rate)) / (1 - np.exp(-rate))

    left, right = tail(inner[0] - low, below[0]), tail(high - inner[-1], 1 - below[-1])
    return (
        np.concatenate([inner[0] - left[0][::-1], inner, inner[-1] + right[0]]),
        np.concatenate([below[0] * left[1][::-1], below, 1 - (1 - below[-1]) * right[1]]),
    )


def plain_wasserstein(edges, was, now, was_ends, now_ends):
    """Area between two polygons, drawn with np.interp."""
    one, two = polygon(edges, was, was_ends), polygon(edges, now, now_ends)
    knots = np.unique(np.concatenate([one[0], two[0]]))
    gap = np.interp(knots, *two, left=0.0, right=1.0) - np.interp(knots, *one, left=0.0, right=1.0)
    total = 0.0
    for width, left, right in zip(np.diff(knots), gap[:-1], gap[1:], strict=True):
        size = abs(left) + abs(right)
        total += width * ((left**2 + right**2) / (2 * size) if left * right < 0 else size / 2)
    return total


def table(rows, seed):
    """Columns of every sort: smooth, skewed, lumpy, constant, mostly null, infinite, few and many levels."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "normal": rng.normal(10, 3, rows),
            "skew": rng.lognormal(0, 2, rows),
            "cauchy": rng.standard_cauchy(rows) * 1e6,
            "lumpy": np.where(rng.random(rows) < 0.9, 0.0, rng.exponential(1, rows)),
            "constant": np.full(rows, 7.5),
            "nulls": np.where(rng.random(rows) < 0.95, np.nan, rng.normal(0, 1, rows)),
            "infinite": np.where(rng.random(rows) < 0.1, np.inf, rng.normal(0, 1, rows)),
            "all_null": np.full(rows, np.nan),
            "city": rng.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1]),
            "many": rng.integers(0, 500, rows).astype(str),
            "flag": rng.random(rows) < 0.3,
        }
    )


REFERENCE = Reference.fit(table(4000, 1))
DESIGN = np.linspace(1, 3, len(REFERENCE.columns))
COMPARISON = ColumnComparison(REFERENCE, DESIGN)


@settings(max_examples=40)
@given(
    st.integers(1, 400), st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 4.0]), st.sampled_from(["", "null", "one"])
)
def test_every_number_is_that_of_the_plain_formulas(rows, seed, shift, spoil):
    frame = table(rows, seed)
    for name in ("normal", "skew", "lumpy", "infinite"):
        frame[name] = frame[name] + shift
    if spoil == "null":
        frame[["normal", "city", "flag"]] = None
    if spoil == "one":
        frame["normal"], frame["skew"] = 1e9, frame["skew"].iloc[0]
    sums = sum_rows(REFERENCE, REFERENCE.align(frame))
    for place, (cells, found) in enumerate(zip(REFERENCE.columns, COMPARISON.describe(sums), strict=True)):
        was, now = (REFERENCE.of(cells.name, counts) for counts in (REFERENCE.expected, sums.cells))
        values = found.values
        wanted = plain_effect(cells.kind, was, now, DESIGN[place])
        for size in (found.effect, effect(cells.kind, was, now, DESIGN[place])):
            got = (size.raw, size.bias, size.value, size.low, size.high)
            # A root spreads the last bits of what is nearly 0; all else agrees to 1e-12.
            assert got == EXACT(wanted, rel=1e-12, abs=1e-9 if cells.kind != "numeric" else 1e-12), cells.name
        seen = occupied(was, now)
        assert values["psi"] == EXACT(psi(was[seen], now[seen]), rel=1e-12, abs=1e-12)
        assert values["psi_bias"] == EXACT((seen.sum() - 1) * (1 / rows + 1 / 4000), rel=1e-12)
        assert found.n == rows and values["null_rate"] == now[cells.null] / rows
        assert values["unseen_rate"] == (0.0 if cells.unseen is None else now[cells.unseen] / rows)
        assert values["out_of_range_rate"] == now[list(cells.out_of_range)].sum() / rows
        if cells.kind != "numeric":
            assert [values[name] for name in ("ks", "w1", "mean")] == [None] * 3
            assert values["tvd"] == EXACT(tvd(was, now))
            continue
        assert values["ks"] == ks(was, now) and values["tvd"] is None
        finite = [counts[1 : cells.null - 1] for counts in (was, now)]
        n = int(finite[1].sum())
        step = REFERENCE.scale[place] / 4096
        mean = REFERENCE.centre[place] + int(sums.moments[place, 0]) / n * step if n else None
        assert values["mean"] == (None if mean is None else EXACT(mean, rel=1e-12, abs=1e-12))
        if not n or not finite[0].sum():
            assert values["w1"] is None
            continue
        ends = REFERENCE.extremes[place].astype(float), sums.extremes[place].astype(float)
        area = plain_wasserstein(np.array(cells.edges), *finite, *ends)
        assert values["w1"] == EXACT(area / REFERENCE.spread[place], rel=1e-11, abs=1e-13), cells.name
        assert wasserstein(cells.edges, *finite, *ends) == EXACT(area, rel=1e-11, abs=1e-13)


def test_a_range_that_is_known_counts_what_lies_outside():
    from streams.wire.schema import Feature, FeatureSchema

    schema = FeatureSchema((Feature("age", "numeric", low=0.0, high=100.0),))
    reference = Reference.fit(pd.DataFrame({"age": np.arange(100.0)}), features=schema)
    sums = sum_rows(
        reference, reference.align(pd.DataFrame({"age": [-1.0, 5.0, 100.0, 100.5, np.inf, None, 7.0, 8.0]}))
    )
    (found,) = ColumnComparison(reference, np.ones(1)).describe(sums)
    assert found.values["out_of_range_rate"] == 3 / 8
