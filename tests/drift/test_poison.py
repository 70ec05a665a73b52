"""A record that can never be processed stops nobody: over the real log, by every step of the monitor, for every kind.

Each step reads one partition on which strange records lie between good ones. What it makes of the good ones is what it
makes of them alone; of the strange ones each is a dead letter with its bytes, its place, the step and the reason, in
the commit that passes over it, and a person is told once a kind.
"""

import asyncio
import queue
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from uuid import uuid4

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from confluent_kafka.admin import NewTopic
from structlog.testing import capture_logs

from drift import Reference
from drift.counting.external import ExternalTopics, Mapping, RecordReader
from drift.counting.stage import Count
from drift.judge.stage import Judge
from drift.labels.stage import Join, PredictionRow
from drift.labels.step import Joining
from drift.reference.catalogue import Unusable, Unwatched
from driftline.roles.monitor import Unstored
from driftline.roles.notify import Notify
from streams.clock import now_ms
from streams.formats.untyped import UntypedReader
from streams.kafka import ranges
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.runtime.consumer import BatchConsumer
from streams.runtime.limits import ConsumerLimits
from streams.runtime.microbatch import MicroBatch
from streams.runtime.pipeline import Pipeline
from streams.runtime.snapshots import Restored
from streams.runtime.stage import PerPartition, Step
from streams.runtime.transactions import Processed, TransactionalProducer
from streams.wire import observation
from streams.wire.block import Block
from streams.wire.dead_letters import Letter, letters
from streams.wire.effects import Publish
from streams.wire.records import Alert, Idle, Outcome, Route, RouteCopy, Watch

pytestmark = pytest.mark.system  # minutes: `make test-all`

NOW = 1_780_000_000_000
MINUTE = 60_000
ROWS = 300


def table(seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    score = rng.random(ROWS)
    said = np.where(score > 0.5, "yes", "no")
    return pd.DataFrame({"age": rng.normal(size=ROWS).astype(np.float32), "p": score, "hat": said, "y": said[::-1]})


REFERENCE = Reference.fit(table(0), task="binary", score="p", prediction="hat", label="y", features=["age"])
WATCH = Watch(window_rows_min=10, lateness_ms_max=0)


def catalogue(model: str, version: str) -> Reference:
    if (model, version) != ("m", "v1"):
        raise (Unusable if model == "m" else Unwatched)(f"{model} {version} is not here")
    return REFERENCE


def batch(times: Any, **columns: pa.Array) -> pa.RecordBatch:
    frame, n = table(), ROWS
    texts = pa.array(frame["hat"]).dictionary_encode()
    own = [
        pa.array([str(i) for i in range(n)]),
        pa.array(times, pa.int64()),
        pa.array(range(n), pa.int64()),
        pa.array([0] * n, pa.int32()),
        pa.array(frame["p"], pa.float32()),
        texts,
        pa.array(["champion"] * n).dictionary_encode(),
    ]
    columns = {"age": pa.array(frame["age"], pa.float32())} | columns
    return pa.RecordBatch.from_arrays([*own, *columns.values()], names=[*observation.OWN.names, *columns])


def head(**more: Any) -> observation.Head:
    return observation.Head(**{"model": "m", "version": "v1", "topic": "requests", "partition": 0, "first": 0,
                               "last": ROWS - 1, "partitions": 1, **more})  # fmt: skip


TIMES = NOW + np.arange(ROWS) * MINUTE // 30
OBSERVED = observation.encode(head(), batch(TIMES))


def bomb() -> bytes:
    """An observation of 20 kB that says it holds 200 MB of text."""
    sink = pa.BufferOutputStream()
    zeros = pa.record_batch({"x": pa.array([b"\0" * 200_000_000], pa.large_binary())})
    with pa.ipc.new_stream(sink, zeros.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_batch(zeros)
    return sink.getvalue().to_pybytes()


def changed(value: bytes, **more: Any) -> bytes:
    codec = msgspec.json if value[:1] == b"{" else msgspec.msgpack
    return codec.encode(codec.decode(value) | more)


#: What anybody can write anywhere: value and headers by kind. One that is fine is a good one with strange headers.
EVERYWHERE: dict[str, tuple[bytes | None, Any]] = {
    "empty": (b"", None),
    "null value": (None, None),
    "garbage": (b"\x00\xff\xfegarbage", None),
    "json of something else": (b'{"hello":"world"}', None),
    "deep": (b"[" * 200_000, None),
    "large": (b'{"id":"' + b"x" * 800_000 + b'"}', None),
    "zstd": (b"\x28\xb5\x2f\xfd" + b"\0" * 50, None),
}
HEADERS = [("traceparent", None), ("driftline-redrives", None), ("", b"x"), ("waited", b"\xff")]

COUNTED = [
    publish.value
    for publish in Count(catalogue, lambda _: WATCH, 1).process(Block.of("observations", 0, [OBSERVED])).publish
]
ROUTED = msgspec.msgpack.encode(
    RouteCopy(model="m", route=Route(model="m", epoch=1, ts=NOW, champion="v1", watch=WATCH))
)
IDLE = msgspec.msgpack.encode(Idle(model="m", topic="requests", partition=0, partitions=1, asleep=True))
ALERT = msgspec.json.encode(
    Alert(id="m-1/open", incident="m-1", event="open", model="m", version="v1", ts=NOW, window_start=NOW,
          window_end=NOW + MINUTE, kind="feature", severity="critical", page=True, columns=[], change_point=NOW,
          change_point_low=NOW, change_point_high=NOW, evidence=9.0, budget=1.0, reference="r", epoch=1, text="moved")
)  # fmt: skip
LABEL = b'{"id":"7","label":"yes"}'
SEEN = msgspec.json.encode({"id": "7", "p": 0.25, "hat": "no", "age": 3.0})


def minute(**more: Any) -> bytes:
    partial = msgspec.msgpack.decode(COUNTED[0])
    names = ("minute_ms", "segment", "late", "rows", "cells", "moments", "extremes", "ids")
    first = dict(zip(names, partial["minutes"][0], strict=True)) | more
    return msgspec.msgpack.encode(partial | {"minutes": [list(first.values())]})


#: By topic: good records, and strange ones of its own with what becomes of them (a reason; "" passes without a word).
CASES: dict[str, tuple[list[bytes], dict[str, tuple[bytes, str]]]] = {
    "observations": (
        [OBSERVED, observation.encode(head(first=ROWS, last=2 * ROWS - 1), batch(TIMES + 10 * MINUTE))],
        {
            "format": (observation.encode(head(format=99), batch(TIMES)), "unknown_format"),
            "truncated": (OBSERVED[: len(OBSERVED) // 2], "undecodable"),
            "zip bomb": (bomb(), "undecodable"),
            "year 287170": (observation.encode(head(), batch([9 * 10**15] * ROWS)), "impossible_value"),
            "smallest time": (observation.encode(head(), batch([-(2**63)] * ROWS)), "impossible_value"),
            "billion partitions": (observation.encode(head(partitions=10**9), batch(TIMES)), "impossible_value"),
            "path for a name": (observation.encode(head(model="../../etc"), batch(TIMES)), "impossible_value"),
            "other kind": (
                observation.encode(head(), batch(TIMES, age=pa.array(["x"] * ROWS).dictionary_encode())),
                "impossible_value",
            ),
            "unknown model": (observation.encode(head(model="nobody"), batch(TIMES)), ""),
            "unknown version": (observation.encode(head(version="v9"), batch(TIMES)), ""),
        },
    ),
    "counts": (
        [ROUTED, *COUNTED, IDLE],
        {
            "format": (changed(IDLE, format=99), "unknown_format"),
            "counts of a format": (changed(COUNTED[0], format=99), "unknown_format"),
            "truncated": (COUNTED[0][:-100], "undecodable"),
            "short cells": (minute(cells=b"\0" * 8), "impossible_value"),
            "negative cells": (minute(cells=b"\xff" * 8 * len(REFERENCE.counts)), "impossible_value"),
            "many rows": (minute(rows=2**62), "impossible_value"),
            "more cells than rows": (minute(rows=1), "impossible_value"),
            "half a sketch of ids": (minute(ids=b"\xff" * 7), "impossible_value"),
            "a sketch of no rows": (minute(ids=bytes(12)), "impossible_value"),
            "a long sketch of ids": (minute(ids=b"\x01" * 12_000), "impossible_value"),
            "year 287170": (minute(minute_ms=9 * 10**15), "impossible_value"),
            "strange segment": (minute(segment="shoe=41"), "impossible_value"),
            "far watermark": (changed(COUNTED[0], watermark_ms=2**62), "impossible_value"),
            "billion partitions": (changed(IDLE, partitions=10**9), "impossible_value"),
            "negative partition": (changed(IDLE, partition=-1), "impossible_value"),
            "another reference": (changed(COUNTED[0], reference="another"), "impossible_value"),
            "another's route": (changed(ROUTED, model="n"), "impossible_value"),
            "endless window": (
                changed(ROUTED, route=msgspec.msgpack.decode(ROUTED)["route"] | {
                    "watch": msgspec.to_builtins(WATCH) | {"window_ms": 60_000 * 10**12}}),
                "undecodable",
            ),
            "immeasurable tolerance": (
                changed(ROUTED, route=msgspec.msgpack.decode(ROUTED)["route"] | {
                    "watch": msgspec.to_builtins(WATCH) | {"tolerances": {"performance": 1e308}}}),
                "undecodable",
            ),
            "last epoch": (
                changed(ROUTED, route=msgspec.msgpack.decode(ROUTED)["route"] | {"epoch": 2**53}),
                "impossible_value",
            ),
            "act on nothing": (
                msgspec.msgpack.encode(
                    {"type": "act", "model": "m", "incident": "m-9", "act": "mute", "by": "x", "at_ms": NOW}
                ),
                "impossible_act",
            ),
            "unknown version": (changed(COUNTED[0], version="v9"), ""),
            "unknown model": (changed(COUNTED[0], model="nobody"), ""),
        },
    ),
    "feedback": (
        [LABEL, b'{"id":"8","label":"no"}'],
        {
            "truncated": (LABEL[:-3], "undecodable"),
            "year 287170": (b'{"id":"7","label":"yes","ts":9000000000000000}', "impossible_timestamp"),
            "long label": (b'{"id":"7","label":"' + b"y" * 100_000 + b'"}', "oversize"),
            "unknown class": (b'{"id":"7","label":"perhaps"}', "unknown_class"),
        },
    ),
    "feedback-waiting": ([LABEL, b'{"id":"8","label":"no"}'], {"truncated": (LABEL[:-3], "undecodable")}),
    "alerts": (
        [ALERT, changed(ALERT, id="m-1/close", event="close")],
        {
            "truncated": (ALERT[:-30], "undecodable"),
            "format": (changed(ALERT, format=99), "unknown_format"),
            "strange event": (changed(ALERT, event="explode"), "undecodable"),
        },
    ),
    "@answers": (
        [SEEN, SEEN.replace(b'"7"', b'"8"')],
        {
            "truncated": (SEEN[:-3], "undecodable"),
            "score beyond floats": (SEEN.replace(b"0.25", b"1" * 400), "impossible_value"),
            "time of 5,000 digits": (SEEN[:-1] + b',"ts":"%s"}' % (b"1" * 5_000), "impossible_timestamp"),
        },
    ),
}  # fmt: skip
#: What becomes of the kinds that anybody can write, where it is something else.
OTHERWISE = {
    ("@answers", "null value"): "",
    ("feedback", "deep"): "wrong_type",
    ("feedback-waiting", "deep"): "wrong_type",
    ("observations", "json of something else"): "undecodable",
    ("counts", "json of something else"): "undecodable",
    ("alerts", "json of something else"): "undecodable",
    ("observations", "large"): "undecodable",
    ("counts", "large"): "undecodable",
    ("alerts", "large"): "undecodable",
    ("@answers", "large"): "oversize",
}
REASONS = {
    "empty": "empty", "null value": "empty", "garbage": "undecodable", "json of something else": "missing_field",
    "deep": "undecodable", "large": "impossible_id", "zstd": "undecodable",
}  # fmt: skip


class Empty:
    """No outcomes but those of some values."""

    def __init__(self, values: Sequence[bytes | None] = ()) -> None:
        self.values = values

    def ends(self) -> dict[int, int]:
        return {}

    def stored(self) -> dict[int, int]:
        return {}

    def unread(self) -> list[Block]:
        return [Block.of("outcomes", 0, self.values)] if self.values else []


class Ran(msgspec.Struct):
    """What came of a topic: letters by the offset of their record, effects but letters, places by kind, words said."""

    letters: dict[int, list[Letter]]
    good: list[Any]
    alone: list[Any]
    offsets: dict[str, int]
    warned: list[dict[str, Any]]
    letters_again: int


def steps(topic: str, cluster: Cluster, alone: bool = False) -> tuple[Step, Callable[[], list[Any]]]:
    """The monitor's step over a topic, and what it has sent to people."""
    sent: list[Any] = []

    def found(ids: list[str]) -> dict[str, list[PredictionRow]]:
        rows = [PredictionRow(id=id_, model="m", version="v1", ts=NOW, score=0.5, prediction="no") for id_ in "78"]
        return {row.id: [row] for row in rows if row.id in ids}

    def send(title: str, text: str) -> bool:
        sent.append(title)
        return True

    joining = Joining(
        lambda recent: Join(found, catalogue, lambda: NOW, 10**9, recent),
        Empty() if alone else Unstored(cluster),
    )
    mapping = Mapping(topic="answers", model="m", version="v1", id="id", ts="ts", score="p", prediction="hat")
    watching = ExternalTopics([RecordReader(mapping, REFERENCE)], UntypedReader("json", None), 1, 1)
    made: dict[str, Step] = {
        "observations": PerPartition(lambda *_: Count(catalogue, lambda _: WATCH, 1)),
        "counts": Restored(cluster, lambda *_: Judge(catalogue)),
        "feedback": joining,
        "feedback-waiting": joining,
        "alerts": Notify(send, "http://page"),
        "@answers": PerPartition(lambda *_: watching),
    }
    return made[topic], lambda: sent


def comparable(topic: str, published: Sequence[Publish], sent: list[Any]) -> list[Any]:
    """What a step made, without the places of its records."""
    found = []
    for one in published:
        if one.topic == "outcomes":  # a label holds since its arrival, which is the broker's to say
            found.append((one.topic, msgspec.json.decode(one.value) | {"label_ts": 0}))
        if one.topic in ("reports", "alerts", "retraining"):
            found.append((one.topic, one.value))
        if one.topic == "counts" and topic == "observations":
            found.append((one.topic, one.value))
        if one.topic == "observations":
            rows = observation.decode(one.value)[1].drop_columns(["offset", "ts"])
            found.append((one.topic, rows.to_pylist()))
    if topic == "@answers":
        found = [row for _, rows in found for row in rows]
    return [*found, *sent]


def drive(cluster: Cluster, group: str, topic: str, step: Step, records: int) -> list[Publish]:
    """Run a step over a topic, until it has committed so many records; returns what it published."""
    handed: queue.Queue[Any] = queue.Queue()
    consumer = BatchConsumer(
        cluster, group, [topic], step, hand_over=handed.put, crash=handed.put, limits=ConsumerLimits(rows_max=7)
    )
    transactional = TransactionalProducer(cluster, f"{group}-0")
    published: list[Publish] = []
    left = records

    def commit(processed: Sequence[Processed], membership: Any) -> None:
        nonlocal left
        transactional.commit(processed, (), membership)
        published.extend(message for _, effects in processed for message in effects.publish)
        left -= sum(len(block) for block, _ in processed if isinstance(block, Block))
        if left <= 0:
            handed.put(None)

    async def fail(_: float) -> None:
        raise AssertionError(f"{group} failed: see its log")

    async def batches() -> AsyncIterator[MicroBatch]:
        while (batch := await asyncio.to_thread(handed.get, timeout=60)) is not None:
            assert isinstance(batch, MicroBatch), batch
            yield batch

    consumer.start()
    try:
        asyncio.run(Pipeline(group, step, pause=fail).run(batches(), commit))
    finally:
        consumer.stop()
        transactional.close()
    return published


@pytest.fixture(scope="module")
def ran(request, kafka) -> tuple[str, Ran]:
    """A topic with all kinds of strange records between good ones, read by its step."""
    topic = request.param
    cluster = Cluster(bootstrap=kafka, prefix=f"test-{uuid4().hex[:12]}.")
    create(cluster, Layout(requests=1))
    if topic.startswith("@"):
        topic = f"@answers-{uuid4().hex[:8]}"
    good, own = CASES[request.param]
    strange = EVERYWHERE | {kind: (value, None) for kind, (value, _) in own.items()}
    sent: list[tuple[str, bytes | None, Any]] = []
    for n, (kind, (value, headers)) in enumerate(strange.items()):
        if n < len(good):
            sent.append((f"good {n}", good[n], HEADERS))
        sent.append((kind, value, headers))
    assert len(strange) >= len(good)
    if topic.startswith("@"):
        admin = cluster.admin()
        for made in admin.create_topics([NewTopic(cluster.topic(topic), 1)]).values():
            made.result(30)
    producer = cluster.producer(None)
    for _, value, headers in sent:
        producer.produce(cluster.topic(topic), value, b"m", 0, headers=headers)
    for value in (b"", b"\xff", b'{"id":1}', b"[" * 100_000):  # and `outcomes`, which the join reads at its start
        producer.produce(cluster.topic("outcomes"), value, b"m", 0)
    for value in (b"", b"\xff", b'{"topic":"counts"}', b"[" * 100_000):  # and `snapshots`, which the judge reads
        producer.produce(cluster.topic("snapshots"), value, b"counts/0", 0)
        producer.produce(cluster.topic("snapshots"), value, b"begun/judge/counts/x", 0)
    assert producer.flush(30) == 0
    step, told = steps(request.param, cluster)
    with capture_logs() as logs:
        published = drive(cluster, "step", topic, step, len(sent))
    found: dict[int, list[Letter]] = {}
    for block in ranges.read_all(cluster, "dead-letters"):
        for letter in letters(block):
            found.setdefault(letter.source_offset, []).append(letter)
    alone_step, alone_told = steps(request.param, cluster, alone=True)
    alone_step.assign(topic, 0, 0, "")
    effects = [
        alone_step.process([Block.of(topic, 0, [value], first=n, time=now_ms())])[0] for n, value in enumerate(good)
    ]
    alone = comparable(request.param, [message for one in effects for message in one.publish], alone_told())
    return request.param, Ran(
        letters=found,
        good=comparable(request.param, published, told()),
        alone=alone,
        offsets={kind: offset for offset, (kind, _, _) in enumerate(sent)},
        warned=[one for one in logs if one["event"] == "record set aside"],
        letters_again=sum(len(several) - 1 for several in found.values()),
    )


KINDS = [(topic, kind) for topic, (_, own) in CASES.items() for kind in (*EVERYWHERE, *own)]
every_topic = pytest.mark.parametrize("ran", list(CASES), indirect=True)


@pytest.mark.parametrize(("ran", "kind"), KINDS, indirect=["ran"])
def test_a_strange_record_is_set_aside_with_its_place_and_the_reason(ran, kind):
    topic, found = ran
    own = CASES[topic][1]
    value = own[kind][0] if kind in own else EVERYWHERE[kind][0]
    reason = own[kind][1] if kind in own else OTHERWISE.get((topic, kind), REASONS[kind])
    several = found.letters.get(found.offsets[kind], [])
    if not reason:
        assert not several
        return
    (letter,) = several
    assert (letter.reason, letter.source_partition) == (reason, 0)
    assert letter.stage in ("count", "judge", "join", "notify", "watch") and letter.detail
    assert (letter.value or b"") == (value or b"")[: len(letter.value or b"")] and letter.size == len(value or b"")


@every_topic
def test_the_good_ones_are_processed_as_if_they_were_alone(ran):
    topic, found = ran
    assert found.good == found.alone and found.good, topic
    assert not [offset for kind, offset in found.offsets.items() if kind.startswith("good") and offset in found.letters]
    assert not found.letters_again


@every_topic
def test_a_person_is_told_once_a_kind(ran):
    _, found = ran
    told = [(one["reason"], one["place"].rpartition("/")[0]) for one in found.warned]
    letters_of = [one for several in found.letters.values() for one in several]
    assert {reason for reason, _ in told} == {one.reason for one in letters_of}
    assert len(told) < len(letters_of)


def test_the_outcomes_that_a_join_begins_with_may_hold_anything():
    good = Outcome(id="7", model="m", version="v1", ts=NOW, score=0.5, prediction="no", label="yes", label_ts=NOW)
    values = [b"", None, b"\xff", b"[" * 100_000, b'{"id":1}', msgspec.json.encode(good)]
    joined: list[Any] = []

    def look_up(ids: list[str]) -> dict[str, list[PredictionRow]]:
        row = PredictionRow(id="7", model="m", version="v1", ts=NOW, score=0.5, prediction="no")
        return {"7": [row]} if "7" in ids else {}

    step = Joining(lambda recent: Join(look_up, catalogue, lambda: NOW, 10**9, recent), Empty(values))
    step.assign("feedback", 0, 0, "")
    (effects,) = step.process([Block.of("feedback", 0, [b'{"id":"7","label":"no"}'], time=now_ms())])
    joined = [msgspec.json.decode(m.value, type=Outcome).sign for m in effects.publish if m.topic == "outcomes"]
    assert joined == [-1, 1]  # a correction of the one that could be read
