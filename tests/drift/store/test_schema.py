"""The schema on the embedded store (or the server that the environment names): what goes in comes out summed right."""

import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

import drift
from drift.store import SchemaConflict, Store, StoreSettings, ensure_observations, flavours, migrate, rows
from drift.store.client import quote
from drift.store.report_rows import of_reports
from streams.wire.block import Block
from streams.wire.dead_letters import letters
from streams.wire.observation import OWN, Head
from streams.wire.records import (
    Alert,
    ColumnReport,
    LabelSums,
    MetricReport,
    MinuteCounts,
    MovedColumn,
    Opinion,
    Order,
    Outcome,
    PartialCounts,
    Report,
)

pytestmark = pytest.mark.system  # minutes: `make test-all`

FEATURES = [("age", "numeric"), ("city", "categorical"), ("owns a car?", "boolean")]
MINUTE = 1_700_000_040_000


def insert(store: Store, made: rows.Rows, token: str = "") -> int:
    return store.insert(made.table, made.columns, token=token)


def test_migrating_again_applies_nothing(store: Store) -> None:
    assert migrate(store.settings) == []


def test_several_may_migrate_at_once(clickhouse: StoreSettings) -> None:
    settings = msgspec.structs.replace(clickhouse, database=f"test_at_once_{time.time_ns()}")
    failures: list[Exception] = []

    def work() -> None:
        try:
            migrate(settings)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    store = Store.connect(settings)
    names = [name for name, _ in flavours.schema_files()]
    assert store.rows("SELECT DISTINCT name FROM schema_versions ORDER BY name") == [(name,) for name in names]
    store.rows(f"DROP DATABASE {settings.database}")


def test_an_edited_file_is_refused(store: Store) -> None:
    store.rows("ALTER TABLE schema_versions DELETE WHERE name = '003_counts.sql' SETTINGS mutations_sync = 1")
    store.insert("schema_versions", {"name": ["003_counts.sql"], "sha256": ["of another text"]})
    with pytest.raises(SchemaConflict, match=r"003_counts\.sql was edited .* add a new file instead"):
        migrate(store.settings)


@pytest.mark.parametrize("flavour", ["embedded", "single", "cluster"])
def test_every_flavour_parses(store: Store, flavour: str) -> None:
    settings = StoreSettings(flavour=flavour, cluster="main" if flavour == "cluster" else "", keep_days=0)
    made = [s for _, text in flavours.schema_files() for s in flavours.statements(text, settings)]
    names = {"local_table": quote("local_observations_m"), "local_view": quote("local_view")}
    made += flavours.statements(flavours.model_file(), settings, **names)
    for statement in made:
        (formatted,) = store.rows("SELECT formatQuery({sql:String})", {"sql": statement})[0]
        assert formatted.startswith(("CREATE", "ALTER"))
        assert ("ON CLUSTER" in formatted) == (flavour == "cluster")


# --- observations -----------------------------------------------------------------------------------


def observations(n: int, first: int = 0, model: str = "census", version: str = "v1") -> tuple[Head, pa.RecordBatch]:
    own = {
        "id": [f"requests/0/{first + k}" for k in range(n)],
        "ts": [MINUTE + 1000 * k for k in range(n)],
        "offset": [first + k for k in range(n)],
        "row": [0] * n,
        "score": [k / n for k in range(n)],
        "prediction": ["yes" if k % 2 else "no" for k in range(n)],
        "route": ["champion"] * n,
    }
    columns = [pa.array(own[field.name], field.type) for field in OWN]
    columns.append(pa.array([None if k % 5 == 0 else 20.5 + k for k in range(n)], pa.float32()))
    columns.append(pa.array([[None, "Rome", "Oslo"][k % 3] for k in range(n)], OWN.field("route").type))
    columns.append(pa.array([[None, True, False][k % 3] for k in range(n)], pa.bool_()))
    batch = pa.RecordBatch.from_arrays(columns, names=[*OWN.names, *(name for name, _ in FEATURES)])
    head = Head(model=model, version=version, topic="requests", partition=0, first=first, last=first + n - 1)
    return head, batch


def test_observations_round_trip(store: Store) -> None:
    head, batch = observations(30)
    assert rows.features_of(batch) == FEATURES
    ensure_observations(store, head.model, rows.features_of(batch))
    assert insert(store, rows.of_observations(head, batch)) == 30
    back = store.arrow("SELECT * FROM observations_census ORDER BY source_offset")
    for name in ("id", "row", "score", "prediction", "route", "city", "owns a car?"):
        assert back[name].to_pylist() == batch[name].to_pylist(), name
    assert [t.timestamp() * 1000 for t in back["ts"].to_pylist()] == batch["ts"].to_pylist()
    ages = batch["age"].to_numpy(zero_copy_only=False)
    assert np.array_equal(back["age"].to_numpy(), ages, equal_nan=True)
    assert set(back["version"].to_pylist()) == {"v1"}


ODD_NAMES = (
    'screen (")',
    "path\\to",
    "a\tb",
    "a\nb",
    "a.b",
    "колонка",
    "it's `q` %s {x}",
    "minute",
    "segment",
    "x.y.z",
)


def test_features_of_any_name_are_stored(store: Store) -> None:
    head, batch = observations(5)
    features = [(name, "numeric") for name in ODD_NAMES]
    values = [pa.array(np.arange(5, dtype=np.float32) + place) for place in range(len(ODD_NAMES))]
    own = [batch.column(name) for name in OWN.names]
    batch = pa.RecordBatch.from_arrays([*own, *values], names=[*OWN.names, *ODD_NAMES])
    ensure_observations(store, head.model, features)
    ensure_observations(store, head.model, features)
    assert insert(store, rows.of_observations(head, batch)) == 5
    back = store.arrow("SELECT * FROM observations_census ORDER BY source_offset")
    for place, name in enumerate(ODD_NAMES):
        assert back[name].to_pylist() == values[place].to_pylist(), name


def test_a_retried_block_of_observations_is_there_once_everywhere(store: Store) -> None:
    head, batch = observations(50)
    ensure_observations(store, head.model, FEATURES)
    for _ in range(3):
        insert(store, rows.of_observations(head, batch), token="prod.observations/0/7-9")
    for table in ("observations_census", "predictions", "predictions_by_id"):
        assert store.rows(f"SELECT count(), uniqExact(id) FROM {table}") == [(50, 50)], table
    other = observations(50, first=50)
    insert(store, rows.of_observations(*other), token="prod.observations/0/10-12")
    assert store.rows("SELECT count() FROM predictions_by_id") == [(100,)]


def test_predictions_of_all_models_in_one_table(store: Store) -> None:
    assert store.rows("SELECT count() FROM predictions") == [(0,)]
    for model in ("census", "fraud-eu.2"):
        head, batch = observations(10, model=model)
        ensure_observations(store, model, FEATURES)
        insert(store, rows.of_observations(head, batch))
    assert store.rows("SELECT model, count() FROM predictions GROUP BY model ORDER BY model") == [
        ("census", 10),
        ("fraud-eu.2", 10),
    ]
    found = store.rows(
        "SELECT model, id FROM predictions_by_id WHERE id IN {ids:Array(String)} ORDER BY model, id",
        {"ids": ["requests/0/3", "requests/0/9", "nobody"]},
    )
    assert [id_ for _, id_ in found] == ["requests/0/3", "requests/0/9"] * 2


def test_a_version_with_more_features_widens_the_table(store: Store) -> None:
    ensure_observations(store, "census", FEATURES[:1])
    ensure_observations(store, "census", FEATURES)
    ensure_observations(store, "census", FEATURES[:2])
    head, batch = observations(5)
    assert insert(store, rows.of_observations(head, batch)) == 5


def test_a_feature_that_contradicts_the_table_is_refused(store: Store) -> None:
    ensure_observations(store, "census", [("age", "numeric")])
    with pytest.raises(SchemaConflict, match="give it another name"):
        ensure_observations(store, "census", [("age", "categorical")])
    with pytest.raises(SchemaConflict, match="column of ours"):
        ensure_observations(store, "census", [("stored_at", "numeric")])


# --- counts -----------------------------------------------------------------------------------------


def test_counts_add_up_whatever_the_split_and_the_retries(store: Store) -> None:
    rng = np.random.default_rng(7)
    columns, cells, blocks = 3, 11, 20
    counted = rng.integers(0, 1000, (blocks, 2, cells))
    moments = rng.integers(-(2**40), 2**40, (blocks, 2, columns * 2))
    extremes = rng.normal(size=(blocks, 2, columns, 2)).astype("<f4")
    extremes[:, 0, 1] = np.nan  # A column without a finite value in the first minute.

    def message(block: int) -> PartialCounts:
        minutes = [
            MinuteCounts(
                MINUTE + 60_000 * m,
                "",
                False,
                int(counted[block, m].sum()),
                counted[block, m].astype("<i8").tobytes(),
                moments[block, m].astype("<i8").tobytes(),
                extremes[block, m].tobytes(),
            )
            for m in range(2)
        ]
        return PartialCounts(
            model="census",
            version="v1",
            reference="r",
            topic="requests",
            partition=0,
            first=block,
            last=block,
            partitions=1,
            watermark_ms=0,
            minutes=minutes,
        )

    for start in range(0, blocks, 4):
        made = rows.of_counts([message(block) for block in range(start, start + 4)])
        for _ in range(2):
            insert(store, made, token=f"counts/0/{start}-{start + 3}")
    sql = "SELECT rows, cells, moments, lowest, highest FROM counts WHERE model = 'census' ORDER BY minute"
    back = store.rows(sql)
    assert len(back) == 2
    for m, (row_count, summed, summed_moments, lowest, highest) in enumerate(back):
        assert row_count == counted[:, m].sum()
        assert summed == counted[:, m].sum(axis=0).tolist()
        assert summed_moments == moments[:, m].sum(axis=0).tolist()
        if m == 1:
            assert np.array_equal(np.float32(lowest), extremes[:, 1, :, 0].min(axis=0))
            assert np.array_equal(np.float32(highest), extremes[:, 1, :, 1].max(axis=0))
        else:
            assert (lowest[1], highest[1]) == (np.inf, -np.inf)


def test_label_sums_add_up_and_corrections_subtract(store: Store) -> None:
    def sums(*cells: int) -> LabelSums:
        return LabelSums(
            model="census",
            version="v1",
            reference="r",
            segment="",
            minute_ms=MINUTE,
            cells=np.array(cells, "<i8").tobytes(),
            topic="feedback",
            partition=0,
            first=0,
            last=0,
        )

    insert(store, rows.of_label_sums([sums(2, 4096, 3000, 1), sums(1, 4096, 100, 1)]))
    insert(store, rows.of_label_sums([sums(-1, -4096, -100, -1)]))
    assert store.rows("SELECT model, minute, cells FROM label_counts") == [
        (
            "census",
            store.rows("SELECT fromUnixTimestamp64Milli({m:Int64}, 'UTC')", {"m": MINUTE})[0][0],
            [2, 4096, 3000, 1],
        )
    ]


def test_a_reference_names_the_cells_of_the_counts(store: Store) -> None:
    table = pa.table({"age": [1.5, 2.5, 30.25] * 40, "city": ["Rome", "Oslo", None] * 40})
    reference = drift.Reference.fit(table)
    insert(store, rows.of_reference("census", "v1", reference))
    flat = reference.counts.tolist()
    back = store.rows("SELECT column, first_cell, labels, counts FROM references FINAL ORDER BY place")
    assert [row[0] for row in back] == ["age", "city"]
    for column, first, labels, counts in back:
        assert counts == flat[first : first + len(labels)]
        assert labels == list(reference.columns[reference.place(column)].labels)


# --- labels, judgements, dead letters ---------------------------------------------------------------


def test_outcomes_and_feedback(store: Store) -> None:
    def outcome(label: str, sign: int, label_ts: int) -> Outcome:
        return Outcome(
            id="a",
            model="census",
            version="v1",
            ts=MINUTE,
            score=0.5,
            prediction="yes",
            label=label,
            label_ts=label_ts,
            sign=sign,
        )

    insert(store, rows.of_outcomes([outcome("yes", 1, 5)]), token="outcomes/0/1-1")
    insert(store, rows.of_outcomes([outcome("yes", -1, 5), outcome("no", 1, 9)]), token="outcomes/0/2-3")
    held = "SELECT label, sum(sign) AS s FROM outcomes WHERE id IN {ids:Array(String)} GROUP BY label HAVING s > 0"
    assert store.rows(held, {"ids": ["a", "b"]}) == [("no", 1)]
    insert(store, rows.of_feedback("feedback", 3, [(7, "a", 5, "yes"), (8, "a", 9, "no")]))
    assert store.rows("SELECT id, argMax(label, ts) FROM feedback GROUP BY id") == [("a", "no")]


def report(revision: int, effect: float) -> Report:
    age = ColumnReport(
        name="age",
        role="feature",
        kind="numeric",
        n=500,
        statistic="ks",
        effect=effect,
        effect_low=effect - 0.01,
        effect_high=effect + 0.01,
        tolerance=0.05,
        evidence=3e7,
        drifted=True,
        ks=effect,
        w1=0.3,
        mean=41.0,
    )
    auc = MetricReport(metric="auc", realised=0.8, low=0.75, high=0.85, estimated=0.79, reference=0.9, coverage=0.4)
    return Report(
        model="census",
        version="v1",
        window_start=MINUTE,
        window_end=MINUTE + 60_000,
        rows=500,
        revision=revision,
        reference="r",
        evidence=3e7,
        budget=43_200.0,
        columns=[age],
        performance=[auc],
    )


def test_reports_are_long_and_the_last_revision_holds(store: Store) -> None:
    insert(store, of_reports([report(0, 0.2)]), token="reports/0/1-1")
    insert(store, of_reports([report(1, 0.25)]), token="reports/0/2-2")
    effect = "SELECT value, low, high, unit, tolerance, n, drifted, revision FROM reports WHERE statistic = 'effect'"
    assert store.rows(effect) == [(0.25, 0.24, 0.26, "ks", 0.05, 500, True, 1)]
    metrics = (
        "SELECT statistic, value, low, n FROM reports WHERE role = 'performance' AND column = 'auc' ORDER BY statistic"
    )
    assert store.rows(metrics) == [
        ("coverage", 0.4, None, 500),
        ("estimated", 0.79, None, 500),
        ("realised", 0.8, 0.75, 200),
        ("reference", 0.9, None, 0),
    ]
    assert store.rows("SELECT value FROM reports WHERE role = 'window' AND statistic = 'rows'") == [(500.0,)]
    assert store.rows("SELECT count() FROM reports WHERE statistic IN ('psi', 'tvd')") == [(0,)]


def test_alerts_and_orders(store: Store) -> None:
    moved = MovedColumn(
        name="age",
        role="feature",
        statistic="ks",
        effect=0.2,
        effect_low=0.1,
        effect_high=0.3,
        tolerance=0.05,
        evidence=1e6,
        n=500,
        change_point=MINUTE,
    )
    alert = Alert(
        id="census-1/open",
        incident="census-1",
        event="open",
        model="census",
        version="v1",
        ts=MINUTE,
        window_start=MINUTE,
        window_end=MINUTE + 60_000,
        kind="feature",
        severity="critical",
        page=True,
        columns=[moved],
        change_point=MINUTE,
        change_point_low=MINUTE - 1,
        change_point_high=MINUTE + 1,
        evidence=1e6,
        budget=43_200.0,
        reference="r",
        epoch=1,
        text="age moved",
        opinions=[Opinion("ADWIN", "score", MINUTE)],
    )
    for _ in range(2):
        insert(store, rows.of_alerts([alert]), token="alerts/0/0-0")
    ((names, columns, page, opinions),) = store.rows("SELECT names, columns, page, opinions FROM alerts")
    assert msgspec.json.decode(opinions, type=list[Opinion]) == alert.opinions
    assert (names, page) == (["age"], True)
    assert msgspec.json.decode(columns, type=list[MovedColumn]) == [moved]
    order = Order(
        id="o",
        model="census",
        version="v1",
        incident="census-1",
        ts=MINUTE,
        columns=["age"],
        since=MINUTE,
        until=MINUTE + 1,
        reason="drift",
    )
    insert(store, rows.of_orders([order]))
    assert store.rows("SELECT id, columns, reason FROM retraining") == [("o", ["age"], "drift")]


def test_dead_letters(store: Store) -> None:
    said = {"topic": b"requests", "partition": b"3", "offset": b"1041", "stage": b"score", "reason": b"wrong_type"}
    said |= {"field": b"$.age", "detail": "é".encode(), "attempts": b"1"}
    headers = [(f"driftline-{name}", value) for name, value in said.items()]
    block = Block("dead-letters", 0, [5, 9], [MINUTE, MINUTE], [None, None], [b"{}", None], [headers, None])
    insert(store, rows.of_dead_letters(list(letters(block))))
    sql = "SELECT source_topic, source_partition, source_offset, reason, field, bytes, letter_offset FROM dead_letters"
    assert store.rows(f"{sql} ORDER BY letter_offset") == [
        ("requests", 3, 1041, "wrong_type", "$.age", 2, 5)
    ]  # the other is no letter: the sink sets it aside


def test_the_sql_ships_with_the_package() -> None:
    folder = Path(flavours.__file__).parent / "schema"
    assert [name for name, _ in flavours.schema_files()] == sorted(p.name for p in folder.glob("*.sql"))
