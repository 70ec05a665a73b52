"""Rows out of a real store, by the settings of the environment."""

import numpy as np
import pytest

import drift
from drift.store import StoreUnavailable, ensure_observations
from drift.store.load import LoadError, sample

NOON = 1_790_000_000_000


@pytest.fixture(scope="module")
def rows_of_churn(module_store):
    """A store with 100 rows of `churn`, one a minute from NOON, of two versions in turn; it is only read."""
    store = module_store
    ensure_observations(store, "churn", [("age", "numeric"), ("city", "categorical")])
    n = 100
    store.insert(
        "observations_churn",
        {
            "id": [f"r{k}" for k in range(n)],
            "ts": [NOON + 60_000 * k for k in reversed(range(n))],
            "model": ["churn"] * n,
            "version": ["v1", "v2"] * (n // 2),
            "score": np.linspace(0, 1, n, dtype=np.float32),
            "prediction": ["no"] * n,
            "route": ["champion"] * n,
            "source_topic": ["requests"] * n,
            "source_partition": [0] * n,
            "source_offset": list(range(n)),
            "row": [0] * n,
            "batch_rows": [512] * n,
            "age": np.arange(n, dtype=np.float32),
            "city": ["Rome"] * n,
        },
    )
    return store


@pytest.fixture
def filled(rows_of_churn, monkeypatch):
    """That store, named by the environment."""
    settings = rows_of_churn.settings
    url = f"clickhouse://{settings.user}@{settings.host}:{settings.port}/{settings.database}"
    monkeypatch.setenv("DRIFTLINE_CLICKHOUSE__URL", url)
    monkeypatch.setenv("DRIFTLINE_CLICKHOUSE__PASSWORD", settings.resolved_password())
    return rows_of_churn


def test_a_stretch_in_order_of_time(filled):
    found = drift.load("predictions", last="10min", end=NOON + 3_600_000)
    assert found["id"].to_pylist() == [f"r{k}" for k in range(49, 39, -1)]  # minutes 50 to 59, ids run backwards
    named = drift.load("observations", start="2026-09-21", end="2026-09-23", model="churn", version="v2")
    assert named.num_rows == 50 and set(named["version"].to_pylist()) == {"v2"}
    assert named["age"].to_pylist() == [float(k) for k in range(99, 0, -2)]


def test_a_sample_is_the_same_each_time_evenly_over_the_stretch_and_of_it_alone(filled):
    def drawn(rows_max, version="v1"):
        end = NOON + 90 * 60_000
        return sample(filled, "observations", NOON, end, model="churn", version=version, rows_max=rows_max)

    few, rows = drawn(20)
    assert rows == 45 and few.num_rows == 20 and drawn(20)[0].equals(few)
    assert set(few["version"].to_pylist()) == {"v1"}
    times = few["ts"].to_pylist()
    assert times == sorted(times)
    whole, rows = drawn(45)
    assert rows == 45 and whole.num_rows == 45
    assert set(few["id"].to_pylist()) < set(whole["id"].to_pylist())
    halves = [sum(time < times[0] + (times[-1] - times[0]) / 2 for time in times), len(times) // 2]
    assert abs(halves[0] - halves[1]) <= 6
    assert drawn(20, "v3") == (few.slice(0, 0), 0)


def test_other_tables_are_there_though_empty(filled):
    for table in ("outcomes", "feedback", "alerts", "retraining", "reports"):
        assert drift.load(table, last="1d").num_rows == 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"table": "prediction", "last": "1d"}, "no table 'prediction'; there are observations, predictions"),
        ({"table": "observations", "last": "1d"}, "name one: drift.load"),
        ({"table": "predictions"}, "say how far back"),
        ({"table": "predictions", "last": "1 fortnight"}, "write 1d, 6h or 90min"),
        ({"table": "predictions", "start": "2026-09-23", "end": "2026-09-21"}, "swap the ends"),
        ({"table": "predictions", "start": "2026-09-21", "end": "2026-09-23", "rows_max": 99}, "more than 99 rows"),
        ({"table": "predictions", "start": "2026-09-21", "end": "9999-12-31"}, "no time between 1970 and 2099"),
        ({"table": "predictions", "start": "1066-10-14"}, "no time between 1970 and 2099"),
        ({"table": "predictions", "start": 10**18}, "no time between 1970 and 2099"),
        ({"table": "predictions", "start": 1e300}, "no time between 1970 and 2099"),
        ({"table": "predictions", "start": float("nan")}, "no time between 1970 and 2099"),
        ({"table": "predictions", "start": True}, "no time between 1970 and 2099"),
        ({"table": "predictions", "start": "NaT"}, "no time between 1970 and 2099"),
        ({"table": "predictions", "last": "99999999 days"}, "write 1d, 6h or 90min"),
    ],
)
def test_refusals_say_what_to_ask(filled, asked, said):
    with pytest.raises(LoadError) as refused:
        drift.load(**asked)
    assert said in str(refused.value)


def test_nobody_there(monkeypatch):
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1 "):
        drift.load("predictions", last="1d", url="clickhouse://default@127.0.0.1:1/driftline")
