"""The bench: rows drawn as they hang together, shifts of the size they say, peers as their libraries have them."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats
from typer.testing import CliRunner

from drift.analysis.bench import Plan, Population, Race, ShiftError
from drift.analysis.bench.contestants import CONTESTANTS, OPENS, peer
from drift.analysis.bench.ours import Ours
from drift.analysis.bench.page import page
from drift.analysis.bench.peers import WARM_UP_ROWS, Known, critical_distance, distance, page_hinkley, threshold
from drift.analysis.bench.result import Delay, Quiet
from drift.analysis.bench.shifts import Shift, shifts
from drift.analysis.bench.streams import BEFORE, Change, Ground
from drift.cells.columns import floats
from streams.wire.records import Watch


def table(rows: int = 2_000, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    visits = rng.poisson(2, rows).astype(float)
    spent = np.where(rng.random(rows) < 0.9, 0.0, rng.exponential(3, rows))
    return pd.DataFrame(
        {
            "x": rng.normal(size=rows),
            "visits": visits,
            "spent": spent,
            "city": rng.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1]),
        }
    )


@pytest.fixture(scope="module")
def population() -> Population:
    return Population.of(table(), exclude=())


# --- rows -------------------------------------------------------------------------------------------


def test_rows_that_hang_together_are_drawn_together():
    homes = pd.DataFrame({"home": np.repeat(np.random.default_rng(1).normal(size=700), 3)})
    population = Population.of(homes)
    assert 24 <= population.block_rows <= 43  # Eight design effects of three, and their upper bound.
    drawn = population.draw(np.random.default_rng(2), 3_000).column("home").to_numpy()
    together = (drawn[1:] == drawn[:-1]).mean()
    assert together == pytest.approx(2 / 3, abs=0.06)


def test_independent_rows_are_drawn_one_by_one_and_the_same_seed_draws_the_same(population):
    assert population.block_rows == 1
    one, other = (population.draw(np.random.default_rng(3), 500) for _ in range(2))
    assert one.equals(other)


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="too few to draw streams from"):
        Population.of(table(50))


# --- shifts -----------------------------------------------------------------------------------------


def shifted(
    population: Population, text: str, name: str, strength: float = 1.0, rows: int = 40_000
) -> tuple[pa.Array, pa.Array]:
    rng = np.random.default_rng(4)
    column = population.draw(rng, rows).column(name)
    return column, Shift.parse(text).apply(population, name, column, np.full(rows, strength), rng)


def test_a_normal_column_moves_by_its_standard_deviations_and_spreads(population):
    was, now = (floats(column) for column in shifted(population, "0.5sd", "x"))
    assert (now.mean() - was.mean()) / was.std() == pytest.approx(0.5, abs=0.03)
    was, now = (floats(column) for column in shifted(population, "0.5sd", "x", strength=0.5))
    assert (now.mean() - was.mean()) / was.std() == pytest.approx(0.25, abs=0.03)
    was, now = (floats(column) for column in shifted(population, "x1.25", "x"))
    assert now.std() / was.std() == pytest.approx(1.25, abs=0.04) and abs(now.mean() - was.mean()) < 0.05


def test_a_column_keeps_to_the_values_that_it_has(population):
    for name in ("visits", "spent"):
        was, now = (floats(column) for column in shifted(population, "0.2sd", name))
        assert np.isin(now, population.ascending[name]).all()
        # The distance of two normals that are .2 apart is .0797; ties can only hide some of it.
        assert 0.02 < stats.ks_2samp(was, now).statistic < 0.0797 + 0.02


def test_levels_change_by_points_and_values_go_missing(population):
    was, now = (pd.Series(column.to_pandas()) for column in shifted(population, "5pt", "city"))
    moved = now.value_counts(normalize=True) - was.value_counts(normalize=True)
    assert moved.round(3).to_dict() == pytest.approx({"a": -0.05, "b": 0.05, "c": 0.0}, abs=0.005)
    _, now = shifted(population, "null5", "x")
    assert now.null_count / len(now) == pytest.approx(0.05, abs=0.005)


def test_shifts_go_where_they_can_and_what_none_can_is_refused(population):
    assert [columns for _, columns in shifts(["0.2sd", "5pt"], population)] == [["x", "visits", "spent"], ["city"]]
    for written, column, said in [
        (["fast"], None, "write 0.2sd"),
        (["5pt"], "x", "can be made"),
        (["5pt"], "y", "no column 'y'"),
    ]:
        with pytest.raises(ShiftError, match=said):
            shifts(written, population, column)
    constant = Population.of(pd.DataFrame({"x": [1.0] * 300, "city": ["a"] * 300}))
    assert [shift.name for shift, _ in shifts(["0.2sd", "5pt", "null5"], constant)] == ["null5"]


# --- contestants ------------------------------------------------------------------------------------


def test_ks_is_scipys():
    rng = np.random.default_rng(5)
    for size in (1, 40, 200):
        was, now = np.sort(rng.poisson(3, 900)).astype(float), np.sort(rng.poisson(3.4, size)).astype(float)
        exact = stats.ks_2samp(was, now, method="asymp")
        assert distance(was, now) == pytest.approx(exact.statistic)
        level = float(exact.pvalue)
        assert critical_distance(level, len(was), len(now)) == pytest.approx(exact.statistic, rel=1e-4)


def test_page_hinkley_is_rivers():
    from river.drift import PageHinkley as River

    values = np.random.default_rng(6).normal(np.repeat([0, 0.4], 1_500))
    sums = np.array([0.0, 0.0, 0.0, 0.0, np.inf, -1.0])
    highest = [page_hinkley(sums, values[k : k + 1]) for k in range(len(values))]
    for level in (20.0, 50.0, 90.0):
        river = River(threshold=level)
        first = next(k for k, x in enumerate(values) if river.update(x) or river.drift_detected)
        assert first == int(np.argmax(np.array(highest) > level))


def test_a_threshold_is_passed_as_often_as_promised():
    rng = np.random.default_rng(7)
    found = threshold(rng.normal(size=(400, 100)), every=50)
    assert found == pytest.approx(stats.norm.isf(1 / 50), abs=0.15)


def test_every_peer_sees_a_large_change_and_is_quiet_before(population):
    ground = Ground.draw(population, np.random.default_rng(8))
    windows = ground.windows(200, BEFORE + 10, np.random.default_rng(9), Change(Shift.parse("1.5sd"), "x"))
    thresholds = {"PSI (calibrated)": 0.25, "Page-Hinkley (calibrated)": 200.0}
    for name in CONTESTANTS[2:]:
        begun = peer(name, ground, 200, 10_000, thresholds)
        first = next(w for w, window in enumerate(windows) if begun.observe(window) > 1)
        assert BEFORE <= first < BEFORE + 6, name
    ours = Ours(ground.baseline, Watch(false_alarm_every=10_000))
    assert [ours.observe(window.counts) for window in windows].index(True) == BEFORE
    assert ours.named == ("x",) and ours.paged == BEFORE


def test_streaming_peers_take_what_is_missing_and_a_short_reference():
    empty = Known(
        Population.of(table()).whole.columns, [v[:0] for v in (np.zeros(1, np.float32),) * 3] + [np.zeros(0, int)]
    )
    assert WARM_UP_ROWS > 0
    for name in ("ADWIN", "Page-Hinkley (calibrated)", "KS + Bonferroni", "PSI (calibrated)"):
        ground = type("Bare", (), {"known": empty})()
        window = type("W", (), {"values": [np.full(20, np.nan, np.float32)] * 3 + [np.full(20, 4)]})()
        assert peer(name, ground, 20, 100, {}).observe(window) >= 0


# --- the race ---------------------------------------------------------------------------------------


def test_figures_of_a_race_by_hand():
    quiet = Quiet.of("ADWIN", None, [3, None, 9], each=50)
    assert (quiet.alarms, quiet.windows) == (2, 4 + 50 + 10)
    assert quiet.low == pytest.approx(stats.binomtest(2, 64).proportion_ci().low)
    assert not quiet.keeps(1_000) and quiet.keeps(40)
    delay = Delay.of("0.2sd", "ADWIN", 2, [BEFORE, BEFORE + 4, None, 3])
    assert (delay.median, delay.low, delay.high) == (5, 1, None)
    assert (delay.found, delay.streams, delay.early) == (2, 3, 1)


@pytest.fixture(scope="module")
def ran(population):
    plan = Plan(runs=3, windows=20, shifts=("1sd", "20pt"), false_alarm_every=500)
    return Race(population, plan).run()


@pytest.mark.system  # many runs
def test_a_race_finds_large_shifts_at_once_and_is_the_same_again(ran, population):
    assert [ran.delay(shift, OPENS).median for shift in ran.shifts] == [1, 1]
    assert next(q for q in ran.quiet if q.contestant == OPENS).alarms == 0
    again = Race(population, ran.plan).run()
    assert (again.quiet, again.delays) == (ran.quiet, ran.delays)


def test_a_page_stands_by_itself(ran):
    said = page(ran, title="Rows <of> mine", facts={"command": "driftline drift bench"})
    assert "Rows &lt;of&gt; mine" in said and ran.sentence.split(".")[0][:20] in said
    assert "<script src=" not in said and "<link" not in said


def test_the_command(tmp_path):
    from driftline.cli import app

    table().to_parquet(tmp_path / "train.parquet")
    asked = ["drift", "bench", "--reference", str(tmp_path / "train.parquet"), "--runs", "2", "--windows", "10"]
    found = CliRunner().invoke(app, [*asked, "--shifts", "1sd", "--column", "x", "--gradual", "3", "--json"])
    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    assert said["plan"]["gradual"] == 3 and {d["shift"] for d in said["delays"]} == {"1sd"}
    assert [q["contestant"] for q in said["quiet"]] == list(CONTESTANTS)
    plain = CliRunner().invoke(app, [*asked, "--shifts", "1sd", "--out", str(tmp_path / "bench.html")])
    assert "too few to calibrate" in plain.stdout and (tmp_path / "bench.html").stat().st_size > 100_000


def test_a_reference_file_holds_no_rows(tmp_path):
    from driftline.commands.bench import NoBench, run

    with pytest.raises(NoBench, match="give the training table"):
        run(tmp_path / "reference.arrow", Plan(), on_progress=lambda *_: None, settled=lambda _: None)
