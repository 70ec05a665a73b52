"""The sink on a real store: every topic's block becomes rows, and a repeated block changes nothing."""

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from structlog.testing import capture_logs

import drift.store.sink
from drift import Reference
from drift.cells.sums import sum_rows
from drift.counting.minutes import pack
from drift.reference.catalogue import Unwatched
from drift.store.sink import Sink
from streams.away import Away
from streams.wire import observation
from streams.wire.block import Block
from streams.wire.dead_letters import dead_letter
from streams.wire.records import (
    Alert,
    ColumnReport,
    CountsMessage,
    Idle,
    LabelSums,
    Order,
    Outcome,
    PartialCounts,
    Report,
)
from streams.wire.refusals import Refusal
from streams.wire.schema import Feature, FeatureSchema

TS = 1_780_000_000_000
AGE, CITY = Feature("age"), Feature("city", "categorical", categories=("Rome", "Oslo"))


def observed(version: str, features: tuple[Feature, ...], rows: list[list[float]], offset: int = 0) -> bytes:
    schema, n = FeatureSchema(features), len(rows)
    said = pa.array(["1"] * n).dictionary_encode()
    ids = [f"{version}-{offset + row}" for row in range(n)]
    own = [ids, [TS] * n, list(range(offset, offset + n)), [0] * n, [0.5] * n, said, said]
    columns = [pa.array(v, t) if isinstance(v, list) else v for v, t in zip(own, observation.OWN.types, strict=True)]
    columns += observation.feature_columns(schema, np.array(rows, np.float32), {})
    head = observation.Head(model="m-x", version=version, topic="requests", partition=2, first=offset, last=offset + n)
    return observation.encode(head, pa.RecordBatch.from_arrays(columns, schema=observation.arrow_schema(schema)))


def outcome(sign: int = 1, label: str = "1") -> Outcome:
    return Outcome(
        id="a", model="m", version="v1", ts=TS, score=0.5, prediction="1", label=label, label_ts=TS + 1, sign=sign
    )


def reference() -> Reference:
    return Reference.fit(pa.table({"age": [1.0, 2.0, 3.0, 4.0]}))


def counts(ref: Reference) -> list[CountsMessage]:
    sums = sum_rows(ref, ref.align(pa.table({"age": [1.0, 2.0]})))
    place = {"model": "m", "topic": "requests", "partition": 0}
    partial = PartialCounts(
        version="v1", reference=ref.id, first=0, last=1, partitions=1, watermark_ms=TS,
        minutes=[pack(TS // 60_000 * 60_000, "", False, sums)], **place,
    )  # fmt: skip
    labels = LabelSums(
        version="v1", reference=ref.id, segment="", minute_ms=TS // 60_000 * 60_000, first=0, last=1,
        cells=np.arange(8, dtype="<i8").tobytes(), **place,
    )  # fmt: skip
    return [partial, labels, Idle(partitions=1, **place)]


def test_versions_with_different_features_share_a_table_and_a_repeat_adds_nothing(store):
    values = [
        observed("v1", (AGE,), [[41.0], [np.nan]]),
        observed("v2", (AGE, CITY), [[30.0, 1.0]], offset=5),
        observed("v1", (AGE,), [[7.0]], offset=9),
    ]
    block = Block.of("observations", 2, values)
    for sink in (Sink(store), Sink(store)):
        sink.prepare(block).write("t/observations/2/0-2")
        sink.prepare(block).write("t/observations/2/0-2")
    found = store.rows("SELECT id, version, age, city, source_topic, source_offset FROM `observations_m-x` ORDER BY id")
    assert [(row[0], row[3], row[5]) for row in found] == [
        ("v1-0", None, 0),
        ("v1-1", None, 1),
        ("v1-9", None, 9),
        ("v2-5", "Oslo", 5),
    ]
    assert found[0][2] == 41.0
    assert np.isnan(found[1][2])
    assert store.rows("SELECT count() FROM predictions_by_id") == [(4,)]


def test_counts_and_label_sums_add_up_once(store):
    ref = reference()
    messages = counts(ref)
    block = Block.of("counts", 0, [msgspec.msgpack.encode(message) for message in messages])
    for _ in range(2):
        Sink(store).prepare(block).write("t/counts/0/0-2")
    [(rows, cells)] = store.rows("SELECT rows, cells FROM counts")
    assert (rows, sum(cells)) == (2, 2)
    assert store.rows("SELECT cells FROM label_counts") == [(list(range(8)),)]


def test_a_later_block_of_the_same_rows_is_another_block(store):
    block = Block.of("outcomes", 0, [msgspec.json.encode(outcome())])
    for token in ("t/outcomes/0/0-0", "t/outcomes/0/1-1"):
        Sink(store).prepare(block).write(token)
    assert store.rows("SELECT count(), sum(sign) FROM outcomes") == [(2, 2)]


def test_labels_are_texts_with_a_time(store):
    values = [b'{"id":"a","label":1.0}', b'{"id":"b","label":"no","ts":"2026-01-01T00:00:00Z"}', b"{"]
    with capture_logs() as logs:
        ready = Sink(store).prepare(Block.of("feedback", 1, values, first=10, time=TS))
        ready.write("t/feedback/1/10-12")
        ready.tell()
    found = store.rows("SELECT id, label, toUnixTimestamp64Milli(ts), source_offset FROM feedback ORDER BY id")
    assert found == [("a", "1", TS, 10), ("b", "no", 1_767_225_600_000, 11)]
    assert ready.letters == [] and logs == []  # the join sets the third aside, and one letter is enough


def test_reports_alerts_orders_and_dead_letters(store):
    column = ColumnReport(
        name="age", role="feature", kind="numeric", n=2, statistic="ks", effect=0.1, effect_low=0.0, effect_high=0.2,
        tolerance=0.05, evidence=1.0, drifted=False, ks=0.1,
    )  # fmt: skip
    same = {"model": "m", "version": "v1", "window_start": TS, "window_end": TS + 60_000, "reference": "r"}
    report = Report(rows=2, evidence=1.0, budget=100.0, columns=[column], **same)
    alert = Alert(
        id="m/1", incident="m/1", event="open", ts=TS, kind="feature", severity="warning", page=True, columns=[],
        change_point=TS, change_point_low=TS, change_point_high=TS, evidence=1e6, budget=1e5, epoch=1, text="!", **same,
    )  # fmt: skip
    order = Order(
        id="o", model="m", version="v1", incident="m/1", ts=TS, columns=["age"], since=TS, until=TS + 1, reason="drift"
    )
    sink = Sink(store)
    for topic, record in (("reports", report), ("alerts", alert), ("retraining", order)):
        block = Block.of(topic, 0, [msgspec.json.encode(record), b"[]"])
        for _ in range(2):
            sink.prepare(block).write(f"t/{topic}/0/0-1")
    letter = dead_letter(Block.of("requests", 3, [b"{"], first=1041), Refusal(0, "undecodable", "$", "cut"), "score")
    letters = Block("dead-letters", 0, [8], [TS], [None], [letter.value], [letter.headers])
    sink.prepare(letters).write("t/dead-letters/0/8-8")
    assert store.rows("SELECT value FROM reports WHERE statistic = 'effect'") == [(0.1,)]
    assert store.rows("SELECT id, page FROM alerts") == [("m/1", True)]
    assert store.rows("SELECT id, columns FROM retraining") == [("o", ["age"])]
    assert store.rows("SELECT source_topic, source_offset, reason, letter_offset FROM dead_letters") == [
        ("requests", 1041, "undecodable", 8)
    ]


def test_references_are_written_beside_the_first_observations(store):
    def catalogue(model: str, version: str) -> Reference:
        if version == "v2":
            raise Unwatched(model, version)
        return reference()

    block = Block.of("observations", 0, [observed(version, (AGE,), [[1.0]]) for version in ("v1", "v2")])
    Sink(store, catalogue).prepare(block).write("t/observations/0/0-1")
    assert store.rows("SELECT model, version, column, rows FROM references") == [("m-x", "v1", "age", 4)]


def test_a_reference_that_cannot_be_read_costs_no_rows_and_one_that_is_away_is_asked_for_again(store, monkeypatch):
    now, asked = [0.0], []
    monkeypatch.setattr(drift.store.sink, "ticks_ms", lambda: now[0])

    def catalogue(model: str, version: str) -> Reference:
        asked.append(version)
        if version == "broken":
            raise ValueError("no reference")
        if now[0] == 0:
            raise Away("the registry does not answer")
        return reference()

    sink = Sink(store, catalogue)
    for n, now[0] in enumerate([0.0, 1.0, 60_001.0, 200_000.0]):
        values = [observed(version, (AGE,), [[1.0]], offset=n) for version in ("broken", "v1")]
        sink.prepare(Block.of("observations", 0, values)).write(f"t/{n}")
    assert asked == ["broken", "v1", "v1"]
    assert store.rows("SELECT count() FROM predictions") == [(8,)]
    assert store.rows("SELECT version, column FROM references") == [("v1", "age")]


def test_an_unknown_topic_is_an_error(store):
    with pytest.raises(ValueError, match="requests has no table"):
        Sink(store).prepare(Block.of("requests", 0, [b"{}"]))
