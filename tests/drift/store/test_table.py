"""A reference fitted by SQL: the same, bit for bit, as of the same rows in memory."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from drift import Reference
from drift.cells.frames import FrameError
from drift.store.table import StoreTable

ROWS = 5_000


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Columns of every kind, in an order that matters."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=ROWS)
    p = 1 / (1 + np.exp(-x))
    walk = np.repeat(rng.normal(size=ROWS // 4), 4)
    return pd.DataFrame(
        {
            "place": np.arange(ROWS),
            "x": x,
            "heavy": np.where(rng.random(ROWS) < 0.6, 0.0, rng.lognormal(10, 3, ROWS)),
            "holes": np.where(rng.random(ROWS) < 0.1, np.nan, np.round(x, 1)),
            "odd": np.select([x > 2.5, x < -2.5, x > 2.4], [np.inf, -np.inf, -0.0], np.float32(1e30) * x),
            "walk": walk,
            "mostly": np.where(rng.random(ROWS) < 0.9, 7.0, rng.integers(0, 50, ROWS)),
            "rooms": rng.integers(1, 9, ROWS),
            "big": rng.integers(-(2**60), 2**60, ROWS),
            "city": rng.choice(["Rome", "rome ", "Oslo", "Bern, BE", "Zürich"], ROWS, p=[0.5, 0.2, 0.15, 0.1, 0.05]),
            "rare": [None if k % 9 == 0 else f"shop {k % 97}" for k in range(ROWS)],
            "member": rng.random(ROWS) < 0.3,
            "constant": np.ones(ROWS),
            "p": p,
            "hat": np.where(p >= 0.5, "yes", "no"),
            "y": np.where(rng.random(ROWS) < p, "yes", "no"),
        }
    )


PARTS = {
    "task": "binary",
    "score": "p",
    "prediction": "hat",
    "label": "y",
    "exclude": ("place",),
    "segments": ("city",),
}


def same(found: Reference, expected: Reference) -> None:
    assert found.columns == expected.columns
    for name in ("counts", "moments", "extremes", "centre", "scale", "spread", "design_effects", "labels"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    assert (found.notes, found.checks, found.performance) == (expected.notes, expected.checks, expected.performance)
    assert found.id == expected.id


def test_a_table(store, rows):
    store.rows(
        "CREATE TABLE training (place UInt32, x Float64, heavy Float64, holes Nullable(Float64), odd Float32, "
        "walk Float64, mostly Float32, rooms Int16, big Int64, city LowCardinality(String), rare Nullable(String), "
        "member Bool, constant Float64, p Float64, hat String, y Enum8('no' = 0, 'yes' = 1)) "
        "ENGINE = MergeTree ORDER BY cityHash64(place)"
    )
    shuffled = rows.sample(frac=1, random_state=1)
    columns = {name: shuffled[name].tolist() for name in rows}
    columns["holes"] = [None if np.isnan(value) else value for value in columns["holes"]]
    store.insert("training", columns)
    found = Reference.fit(StoreTable(store, "training", order_by=("place",)), **PARTS)
    same(found, Reference.fit(rows, **PARTS))


def test_a_table_function(store, rows):
    for part in range(3):
        store.rows(
            f"CREATE TABLE part_{part} (place UInt32, x Float64, city String, y String)"
            " ENGINE = MergeTree ORDER BY place"
        )
        here = rows.iloc[part * 2000 : (part + 1) * 2000]
        store.insert(f"part_{part}", {name: here[name].tolist() for name in ("place", "x", "city", "y")})
    parts = StoreTable(store, "merge(currentDatabase(), '^part_')", order_by=("place",))
    expected = rows[["place", "x", "city", "y"]].iloc[:6000]
    same(Reference.fit(parts, label="y", exclude=("place",)), Reference.fit(expected, label="y", exclude=("place",)))


def test_the_embedded_store_reads_no_files(store, rows, tmp_path):
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), tmp_path / "lake.parquet")
    with pytest.raises(FrameError, match="is not for clients of the embedded store"):
        StoreTable(store, f"file('{tmp_path}/*.parquet', Parquet)", order_by=("place",))


def test_refusals_say_what_is_wrong(store, rows):
    with pytest.raises(FrameError, match="have no order of their own"):
        StoreTable(store, "training", order_by=())
    with pytest.raises(FrameError, match=r"nowhere: .*name a table of 'test_"):
        StoreTable(store, "nowhere", order_by=("id",))
