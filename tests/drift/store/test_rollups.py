"""Roll-ups: the query's effects of hours and days are those that the library computes from the summed counts."""

from importlib import resources

import numpy as np
import pandas as pd
import pytest

import drift
from dashboards.macros import Range, expand
from drift.cells.sums import Sums, sum_rows
from drift.counting.minutes import pack
from drift.reference.baseline import Baseline
from drift.store import Store, rows
from streams.wire.records import PartialCounts

HOUR = 3_600_000
START = 472_222 * HOUR  # 2023-11-14T22:00:00Z: two hours of one day, three of the next.


def table(n: int, seed: int, moved: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = np.repeat(rng.normal(1.0 if moved else 0.0, 1, n // 2), 2)  # In pairs: a design effect of about 2.
    return pd.DataFrame({"age": age, "city": rng.choice(["Rome", "Oslo", "Bern"], n, p=[0.5, 0.3, 0.2])})


@pytest.fixture(scope="module")
def reference() -> drift.Reference:
    return drift.Reference.fit(table(4000, seed=0))


@pytest.mark.parametrize("column", ["age", "city"])
def test_hours_and_days_are_those_of_the_summed_counts(store: Store, reference: drift.Reference, column: str) -> None:
    baseline = Baseline(reference)
    hours = [sum_rows(reference, reference.align(table(600, seed, moved=seed > 3))) for seed in range(1, 6)]
    for number, sums in enumerate(hours):
        minutes = [pack(START + number * HOUR + minute * 60_000, "", minute == 2, sums) for minute in (0, 2)]
        message = PartialCounts(
            model="m",
            version="v1",
            reference=reference.id,
            topic="requests",
            partition=0,
            first=number,
            last=number,
            partitions=1,
            watermark_ms=0,
            minutes=minutes,
        )
        made = rows.of_counts([message])
        store.insert(made.table, made.columns)
    known = rows.of_reference("m", "v1", reference)
    store.insert(known.table, known.columns)
    sql = resources.files("dashboards").joinpath("queries", "column_rollups.sql").read_text()
    found = store.query(*expand(sql, Range(START, START + 24 * HOUR), {"model": "m", "column": column}))
    place = reference.place(column)
    assert baseline.design_effects[reference.place("age")] > 1.5

    def effect(*several: Sums) -> float:
        both = sum((sums.cells for sums in several), start=np.zeros_like(several[0].cells)) * 2
        return baseline.effect(place, both[baseline.cells(place)]).value

    hourly, daily = (found[found.length == length] for length in ("1 h", "1 d"))
    assert hourly.effect.tolist() == pytest.approx([effect(sums) for sums in hours])
    assert daily.effect.tolist() == pytest.approx([effect(*hours[:2]), effect(*hours[2:])])
    assert [str(time) for time in daily.time] == ["2023-11-14 00:00:00+00:00", "2023-11-15 00:00:00+00:00"]
