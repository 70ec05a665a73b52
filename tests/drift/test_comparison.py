"""drift.compare: SciPy as oracle, peers as they are, intervals that cover, and clear refusals."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats

from drift import Reference, compare
from drift.analysis.compare import METHODS
from drift.cells.columns import ColumnError

RNG = np.random.default_rng(0)
WAS, NOW = RNG.normal(0, 1, 400), RNG.normal(0.3, 1.2, 300)
CITY_WAS = ["Rome"] * 60 + ["Oslo"] * 40
CITY_NOW = ["Rome"] * 40 + ["Oslo"] * 55 + ["Bern"] * 5


@pytest.mark.parametrize("method", METHODS)
def test_every_method_answers_and_keeps_its_effect_inside_its_interval(method):
    levels = method in ("fisher", "two_proportions")
    sides = ([0] * 70 + [1] * 30, [0] * 50 + [1] * 50) if levels else (WAS, NOW)
    found = compare(*sides, method)
    assert found.method == method and np.isfinite([found.statistic, found.effect]).all()
    assert (found.n_reference, found.n_current) == tuple(map(len, sides))
    if "." not in method:
        assert found.interval[0] <= found.effect <= found.interval[1]
    if found.p_value is not None:
        assert 0 <= found.p_value < 0.05


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("fisher", "two_proportions")])
def test_the_same_call_gives_the_same_answer(method):
    first, second = compare(WAS, NOW, method), compare(WAS, NOW, method)
    np.testing.assert_equal(first.interval, second.interval)
    assert first.statistic == second.statistic


def test_tests_are_scipys():
    assert compare(WAS, NOW, "ks").p_value == stats.ks_2samp(WAS, NOW).pvalue
    assert compare(WAS, NOW, "cramer_von_mises").statistic == stats.cramervonmises_2samp(WAS, NOW).statistic
    assert compare(WAS, NOW, "mann_whitney").p_value == stats.mannwhitneyu(WAS, NOW).pvalue
    assert compare(WAS, NOW, "energy").statistic == stats.energy_distance(WAS, NOW)
    welch = stats.ttest_ind(NOW, WAS, equal_var=False)
    found = compare(WAS, NOW, "welch_t")
    assert (found.statistic, found.p_value) == (welch.statistic, welch.pvalue)
    assert found.effect == pytest.approx(NOW.mean() - WAS.mean())
    with pytest.warns(UserWarning):
        assert compare(WAS, NOW, "anderson_darling").statistic == stats.anderson_ksamp([WAS, NOW]).statistic
    table = [[50, 50], [30, 70]]
    found = compare([0] * 70 + [1] * 30, [0] * 50 + [1] * 50, "fisher")
    assert found.p_value == stats.fisher_exact(table).pvalue
    assert found.statistic == pytest.approx(50 / 50 / (30 / 70))


def test_two_proportions_by_hand():
    found = compare([0] * 70 + [1] * 30, [0] * 50 + [1] * 50, "two_proportions")
    assert found.effect == pytest.approx(0.2)
    assert found.statistic == pytest.approx(0.2 / np.sqrt(0.4 * 0.6 * 0.02))
    # Newcombe's hybrid score interval; Wilson ends .2189 .3958 and .4038 .5962.
    ends = 0.2 - np.hypot(0.5 - 0.4038, 0.3958 - 0.3), 0.2 + np.hypot(0.5962 - 0.5, 0.3 - 0.2189)
    assert found.interval == pytest.approx(ends, abs=1e-4)


@pytest.mark.system  # draws many tables
def test_chance_is_taken_off_the_effect():
    rng = np.random.default_rng(1)
    for method in ("ks", "wasserstein", "energy", "psi", "js", "tvd", "hellinger", "cramers_v"):
        found = [compare(rng.normal(size=300), rng.normal(size=300), method) for _ in range(10)]
        assert np.mean([f.effect for f in found]) < 0.8 * np.mean([f.statistic for f in found])
        assert sum(f.interval[0] == 0 for f in found) >= 8


def test_the_chance_of_a_larger_value():
    found = compare([1, 2, 3], [2, 3, 4], "mann_whitney")
    assert found.effect == pytest.approx(7 / 9)  # By hand: 6 wins and 2 ties of 9 pairs.


def test_permutation_p_and_a_frozen_bandwidth():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(150, 4)), rng.normal(0.5, 1, size=(150, 4))
    found = compare(x, y, "mmd", permutations=99)
    assert found.p_value == 0.01  # (0 + 1) / (99 + 1)
    assert found.note == compare(x, 10 * y, "mmd", permutations=9).note
    assert compare(x, rng.normal(size=(150, 4)), "mmd").p_value > 0.01
    many = compare(rng.normal(size=1500), rng.normal(size=1200), "mmd", permutations=19)
    assert "1000 rows a side drawn" in many.note and many.n_reference == 1500


def test_null_is_a_cell_for_counts_and_set_aside_for_values():
    holes = np.where(np.arange(300) % 2, NOW, np.nan)
    assert compare(WAS, holes, "tvd").statistic > 0.5
    found = compare(WAS, holes, "ks")
    assert found.n_current == 150 and found.note == "current: 150 null values set aside"
    assert "null or infinite" in compare([1.0, np.inf, 2.0], [1.0, 2.0], "welch_t").note
    assert compare([1.0, np.inf, 2.0], [1.0, 2.0], "ks").n_reference == 3


def test_levels_in_any_column_type():
    plain = compare(CITY_WAS, CITY_NOW, "tvd").statistic
    assert plain == pytest.approx(0.2)
    as_category = pd.Series(CITY_WAS, dtype="category"), pd.Series(CITY_NOW, dtype="category")
    assert compare(*as_category, "tvd").statistic == plain
    assert compare(CITY_WAS, CITY_NOW, "l_infinity").statistic == pytest.approx(0.2)
    assert compare(np.array(CITY_WAS), np.array(CITY_NOW), "chi2").p_value < 0.01


def test_the_frozen_cells_of_a_reference():
    reference = Reference.fit(pd.DataFrame({"x": WAS, "city": RNG.choice(["a", "b"], 400)}))
    found = compare(reference, NOW, "psi", column="x")
    assert found.statistic == compare(WAS, NOW, "psi").statistic
    assert (found.n_reference, found.n_current) == (400, 300)
    assert compare(reference, ["a", "c"], "tvd", column="city").statistic > 0.4
    with pytest.raises(ValueError, match="name the column"):
        compare(reference, NOW, "psi")
    with pytest.raises(KeyError, match="no column 'y'"):
        compare(reference, NOW, "psi", column="y")


REFUSED = [
    (WAS, NOW, "kss", ValueError, "did you mean 'ks'"),
    (WAS, [], "ks", ValueError, "nothing to compare"),
    (WAS, [np.nan], "ks", ValueError, "nothing to compare"),
    ([], NOW, "psi", ValueError, "nothing to compare"),
    (CITY_WAS, CITY_NOW, "ks", ColumnError, "choose chi2, tvd"),
    (CITY_WAS, CITY_NOW, "nannyml.ks", ColumnError, "choose nannyml.js"),
    (CITY_WAS, CITY_NOW, "fisher", ValueError, "two levels are needed, got 3"),
    ([[1.0]], [[2.0]], "mmd", ValueError, "two rows a side"),
    (pd.DataFrame({"x": WAS}), pd.DataFrame({"x": NOW}), "ks", ColumnError, "got a table; name one of its columns"),
    (pd.Series([[1], [2]]), pd.Series([[1], [2]]), "tvd", ColumnError, "make one level of each value"),
    (np.array([1j]), np.array([1j]), "psi", ColumnError, "leave the column out"),
]


@pytest.mark.parametrize(("was", "now", "method", "error", "said"), REFUSED, ids=[said for *_, said in REFUSED])
def test_refusals_say_what_to_do(was, now, method, error, said):
    with pytest.raises(error, match=said):
        compare(was, now, method)


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("fisher", "two_proportions", "mmd")])
@pytest.mark.parametrize("now", [[5.0], [5.0] * 30, [5.0, np.inf, -np.inf, np.nan]], ids=["one", "constant", "odd"])
def test_degenerate_columns_do_not_crash(method, now):
    found = compare([5.0] * 40, now, method)
    assert found.n_reference == 40


SPOILT = np.where(np.arange(400) % 10 == 0, np.nan, WAS)
SMALL = {
    "constants": ([3.5] * 50, [3.5] * 50),
    "other constants": ([3.5] * 50, [4.5] * 50),
    "a constant": ([3.5] * 50, WAS),
    "with null": (SPOILT, SPOILT),
    "all null": ([np.nan] * 5, [None] * 5),
    "nothing": ([], []),
    "one each": ([1.0], [1.0]),
    "one other": ([1.0], [2.0]),
    "two each": ([1.0, 2.0], [1.0, 2.0]),
    "infinite": ([1.0, np.inf, 2.0] * 5, [1.0, 2.0, -np.inf] * 5),
    "huge": ([1e308, -1e308] * 20, [1e308, -1e308] * 20),
    "text": (["a"] * 30, ["b"] * 30),
    "true and false": ([True, False] * 20, [True] * 40),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pair", SMALL.values(), ids=SMALL)
def test_whatever_the_columns_there_is_a_number_or_a_refusal_that_says_what_to_do(method, pair):
    try:
        found = compare(*pair, method)
    except ValueError as error:
        assert any(word in str(error) for word in ("nothing to compare", "choose", "divide", "two rows a side")), error
        return
    assert not np.isnan(found.statistic) and not np.isnan(found.effect)
    assert found.p_value is None or 0 <= found.p_value <= 1


@pytest.mark.parametrize("method", ["mmd", "ks", "mann_whitney", "welch_t", "chi2", "energy"])
def test_a_column_with_null_against_itself_is_no_drift(method):
    found = compare(SPOILT, SPOILT.copy(), method)
    assert found.p_value is None or found.p_value > 0.05
    assert "set aside" in found.note or method == "chi2"


def test_two_constants_differ_or_do_not():
    same, other = compare([3.5] * 50, [3.5] * 50, "welch_t"), compare([3.5] * 50, [4.5] * 50, "welch_t")
    assert (same.statistic, same.p_value, same.effect, same.interval) == (0.0, 1.0, 0.0, (0.0, 0.0))
    assert (other.statistic, other.p_value, other.effect, other.interval) == (np.inf, 0.0, 1.0, (1.0, 1.0))


def test_mmd_takes_rows_of_tables_and_sets_aside_those_with_null():
    then = pd.DataFrame({"a": WAS, "b": WAS})
    then.iloc[3, 1] = np.nan
    assert "reference: 1 rows with null" in compare(then, pa.Table.from_pandas(then.dropna()), "mmd").note
    with pytest.raises(ColumnError, match="one length, got 2 and 1"):
        compare(then, WAS, "mmd")
    with pytest.raises(ColumnError, match="leave out what is no number"):
        compare(then.assign(c="x"), then, "mmd")
