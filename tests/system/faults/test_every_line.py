"""The commits of the sink and of the join, killed at every line that they execute.

Each life is what a role does between two crashes: committed offsets in, the real steps over the real log, the real
commit, and for the sink the real store. It is killed before its n-th line, a second life begins with nothing but
what is committed, and the accounts are drawn up: nothing lost, nothing doubled. `make test` kills 8 lives of each,
at lines that the seed draws; ``--faults-runs=200`` (`make faults`) kills one at every line.
"""

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import confluent_kafka as ck
import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from killing import live

import drift.labels.feedback
import drift.labels.stage
import drift.labels.step
import drift.store.client
import drift.store.conversion
import drift.store.predictions
import drift.store.sink
import streams.kafka.group_offsets
import streams.runtime.intents
import streams.runtime.offset_marks
import streams.runtime.set_aside
import streams.runtime.start_offsets
import streams.runtime.transactions
from drift import Reference
from drift.cells.sums import sum_rows
from drift.counting.minutes import pack
from drift.labels.stage import Join
from drift.labels.step import Joining
from drift.performance import label_sums
from drift.store import Store, ensure_observations
from drift.store.predictions import look_up
from drift.store.sink import Sink
from driftline.roles.monitor import Unstored
from streams.kafka import ranges
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.runtime.intents import CutLimits, IntentStep
from streams.runtime.offset_marks import OffsetMarks
from streams.runtime.start_offsets import StartOffsets
from streams.runtime.transactions import TransactionalProducer
from streams.wire import observation
from streams.wire.block import Block
from streams.wire.effects import Publish
from streams.wire.records import CountsMessage, LabelSums, Outcome, PartialCounts
from streams.wire.schema import Feature, FeatureSchema, Kind

Send = Callable[[Sequence[Publish]], None]

TS = 1_780_000_020_000
KILLS = 8
SINK = (
    streams.runtime.intents,
    streams.runtime.transactions,
    streams.runtime.offset_marks,
    streams.runtime.start_offsets,
    streams.runtime.set_aside,
    drift.store.conversion,
    drift.store.sink,
    drift.store.client,
)
JOIN = (
    streams.runtime.transactions,
    streams.runtime.offset_marks,
    streams.runtime.start_offsets,
    streams.kafka.group_offsets,
    drift.labels.stage,
    drift.labels.step,
    drift.store.predictions,
    drift.labels.feedback,
    drift.store.client,
)


@pytest.fixture
def cluster(kafka: str, topic_prefix: str) -> Cluster:
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout(requests=1))
    return cluster


@pytest.fixture(scope="module")
def reference() -> Reference:
    rng = np.random.default_rng(7)
    score = rng.random(400)
    frame = pd.DataFrame({"age": rng.normal(size=400), "score": score, "said": (score > 0.5) * 1})
    frame["truth"] = (rng.random(400) < score) * 1
    return Reference.fit(frame, task="binary", score="score", prediction="said", label="truth", positive="1")


def lines_to_die_at(request: pytest.FixtureRequest, lines: int) -> Sequence[int]:
    seed, runs = request.config.getoption("--faults-seed"), request.config.getoption("--faults-runs")
    sys.stdout.write(f"seed {seed}, {lines} lines\n")
    several = range(1, lines + 1)
    return several if runs >= 200 else sorted(random.Random(seed).sample(several, min(KILLS, lines)))


@pytest.fixture
def send(cluster: Cluster) -> Send:
    """Puts messages on the log."""
    producer = cluster.producer()

    def send(messages: Sequence[Publish]) -> None:
        for one in messages:
            producer.produce(cluster.topic(one.topic), one.value, one.key, 0, headers=one.headers or [])
        assert producer.flush(15) == 0

    return send


def begin(cluster: Cluster, group: str, topics: Sequence[str]) -> tuple[ck.Consumer, dict[str, tuple[int, str]]]:
    """A reader of a group, and where it goes on: offset and memory by topic."""
    consumer = cluster.consumer(group)
    asked = [ck.TopicPartition(cluster.topic(topic), 0) for topic in topics]
    found = StartOffsets().of(consumer, asked, OffsetMarks(cluster, group), lambda: False)
    return consumer, {cluster.logical(p.topic): (p.offset, p.metadata or "") for p in found}


def rest(cluster: Cluster, topic: str, start: int, rows: int) -> Iterator[Block]:
    """What a topic holds from an offset on, in blocks of so many rows."""
    for block in ranges.read(cluster, topic, 0, start, ranges.bounds(cluster, topic)[0][1]):
        yield from (block[first : first + rows] for first in range(0, len(block), rows))


# --- The sink. -------------------------------------------------------------------------------------------------------

STORED = ("observations", "counts", "outcomes", "dead-letters")
#: In each round: nonsense on each of three topics, and a model whose features contradict its table.
SET_ASIDE = 4


def write(cluster: Cluster, settings: object, topics: Sequence[str] = STORED) -> None:
    """A life of the sink."""
    consumer, at = begin(cluster, "sink", topics)

    def commit(offsets: list[ck.TopicPartition]) -> None:
        assert all(p.error is None for p in consumer.commit(offsets=offsets, asynchronous=False))

    transactional = TransactionalProducer(cluster, "sink-0")
    transactional.end_dangling(["dead-letters"], topics[:1], "sink")

    def announce(letters: Sequence[Publish], at: ck.TopicPartition) -> None:
        transactional.announce(letters, at, consumer.consumer_group_metadata())

    store = Store.connect(settings)
    step = IntentStep(cluster, Sink(store).prepare, CutLimits(rows_max=2, wait_ms_max=0))
    for topic, (offset, memory) in at.items():
        step.assign(topic, 0, offset, memory)
        for block in rest(cluster, topic, offset, rows=3):
            step.process([block])
            step.commit(commit, announce)
    step.commit(commit, announce)
    transactional.close()
    store.close()
    consumer.close()


def records(reference: Reference, number: int) -> list[Publish]:
    """Three records of each of three topics, and among them those that can never be stored."""
    sums = sum_rows(reference, reference.align(pa.table({"age": [1.0], "score": [0.5], "said": ["1"]})))
    minute = TS // 60_000 * 60_000
    place = {"model": "m", "version": "v1", "reference": reference.id, "topic": "requests", "partition": 0}
    counts: list[CountsMessage] = [
        PartialCounts(**place, first=0, last=0, partitions=1, watermark_ms=TS, minutes=[pack(minute, "", False, sums)]),
        LabelSums(**place, segment="", minute_ms=minute, first=0, last=0, cells=np.ones(8, "<i8").tobytes()),
        PartialCounts(**place, first=0, last=0, partitions=1, watermark_ms=TS, minutes=[pack(minute, "", False, sums)]),
    ]
    return [
        *(Publish("observations", observed(model, 3 * number + n)) for n, model in enumerate(("m", "k"))),
        Publish("observations", b"no observation", headers=[("traceparent", None)]),
        Publish("observations", observed("m", 3 * number, name="age", kind="boolean")),
        Publish("observations", observed("m", 3 * number + 2)),
        *(Publish("counts", msgspec.msgpack.encode(one)) for one in counts[:1]),
        Publish("counts", b"\xc1"),
        *(Publish("counts", msgspec.msgpack.encode(one)) for one in counts[1:]),
        *(Publish("outcomes", msgspec.json.encode(outcome(f"{number}-{n}"))) for n in range(3)),
        Publish("outcomes", msgspec.json.encode(msgspec.structs.replace(outcome("x"), ts=10**16))),
    ]


def observed(model: str, offset: int, name: str = "age", kind: Kind = "numeric") -> bytes:
    schema, said = FeatureSchema((Feature(name, kind),)), pa.array(["1"]).dictionary_encode()
    own = [[str(offset)], [TS], [offset], [0], [0.5], said, said]
    columns = [pa.array(v, t) if isinstance(v, list) else v for v, t in zip(own, observation.OWN.types, strict=True)]
    columns += observation.feature_columns(schema, np.array([[41.0]], np.float32), {})
    head = observation.Head(model=model, version="v1", topic="requests", partition=0, first=offset, last=offset)
    return observation.encode(head, pa.RecordBatch.from_arrays(columns, schema=observation.arrow_schema(schema)))


def outcome(id_: str) -> Outcome:
    return Outcome(id=id_, model="m", version="v1", ts=TS, score=0.5, prediction="1", label="1", label_ts=TS, sign=1)


def rows(store: Store) -> dict[str, int]:
    """Rows by table, of the views that follow one as well; counts as what they add up to."""
    asked = {
        "observations": "SELECT count() FROM predictions",
        "different observations": "SELECT uniqExact(source_offset) FROM predictions",
        "predictions by id": "SELECT count() FROM predictions_by_id",
        "counted rows": "SELECT sum(rows) FROM counts",
        "label sums": "SELECT sum(arraySum(cells)) FROM label_counts",
        "outcomes": "SELECT count() FROM outcomes",
        "dead letters": "SELECT count() FROM dead_letters",
        "different letters": "SELECT uniqExact(source_topic, source_offset) FROM dead_letters WHERE stage = 'sink'",
    }
    return {name: int(store.rows(sql)[0][0]) for name, sql in asked.items()}


@pytest.mark.timeout(0)
def test_the_sink_killed_at_every_line_writes_each_row_once(cluster, store, send, reference, request) -> None:
    life = partial(write, cluster, store.settings)
    send(records(reference, 0))
    lines = live(life, SINK)
    life()  # the letters that the first one has made are stored by the next
    per_round = rows(store)
    assert list(per_round.values()) == [3, 3, 3, 2, 8, 3, SET_ASIDE, SET_ASIDE]
    for number, line in enumerate(lines_to_die_at(request, lines), 1):
        send(records(reference, number))
        live(life, SINK, dies_at=line)
        life()
        life()
        assert rows(store) == {name: n * (number + 1) for name, n in per_round.items()}, f"killed at line {line}"


# --- The join. -------------------------------------------------------------------------------------------------------

LABELS = ("feedback", "feedback-waiting")
WAIT_MS_MAX = 3_600_000


def join(cluster: Cluster, settings: object, reference: Reference, turns_max: int = 100) -> None:
    """A life of the join: turns until nothing waits, or so many."""
    store = Store(settings)
    step = Joining(
        lambda recent: Join(partial(look_up, store), lambda *_: reference, lambda: TS, WAIT_MS_MAX, recent),
        Unstored(cluster),
    )
    transactional = TransactionalProducer(cluster, "join-0")
    consumer, at = begin(cluster, "join", LABELS)
    for topic, (offset, memory) in at.items():
        step.assign(topic, 0, offset, memory)
    while turns_max and (turn := [b for t in LABELS for b in list(rest(cluster, t, at[t][0], rows=3))[:1]]):
        transactional.commit(list(zip(turn, step.process(turn), strict=True)), [], consumer.consumer_group_metadata())
        at |= {block.topic: (block.last + 1, "") for block in turn}
        turns_max -= 1
    store.close()
    consumer.close()


def labels(number: int) -> list[Publish]:
    """Two turns: a label, one before its prediction, nonsense; then a correction, the same again, another."""
    a, b, c = (f"{number}-{name}" for name in "abc")
    said = [(a, 0, 1), (b, 1, 1), None, (a, 1, 2), (a, 1, 2), (c, 0, 1)]
    values = [
        b"{" if one is None else msgspec.json.encode({"id": one[0], "label": one[1], "ts": TS + one[2]}) for one in said
    ]
    return [Publish("feedback", value) for value in values]


def predict(store: Store, number: int, names: str) -> None:
    """Write predictions as the sink does."""
    n = len(names)
    place = {"source_topic": ["requests"] * n, "source_partition": [0] * n, "row": [0] * n, "batch_rows": [n] * n}
    place["source_offset"] = [3 * number + "abc".index(name) for name in names]
    said = {"id": [f"{number}-{name}" for name in names], "ts": [TS] * n, "model": ["m"] * n, "version": ["v1"] * n}
    said |= {"score": [0.75] * n, "prediction": ["1"] * n, "route": ["champion"] * n}
    store.insert("observations_m", place | said)


def joined(cluster: Cluster) -> tuple[Counter[tuple[str, str, int]], np.ndarray, int]:
    """What the join has said: outcomes with their signs, sums of labels, dead letters."""
    said = {t: [v for block in rest(cluster, t, 0, 1_000) for v in block.values] for t in ("outcomes", "counts")}
    outcomes = (msgspec.json.decode(value, type=Outcome) for value in said["outcomes"])
    sums = [msgspec.msgpack.decode(value, type=LabelSums) for value in said["counts"]]
    letters = sum(len(block) for block in rest(cluster, "dead-letters", 0, 1_000))
    total = sum(np.frombuffer(one.cells, "<i8") for one in sums)
    return Counter((one.id, one.label, one.sign) for one in outcomes), np.asarray(total), letters


def meant(reference: Reference, number: int) -> tuple[Counter[tuple[str, str, int]], np.ndarray, int]:
    """What it should have said after so many rounds: in the end each prediction has one label."""
    of_one = (("a", "0", 1), ("a", "0", -1), ("a", "1", 1), ("b", "1", 1), ("c", "0", 1))
    outcomes = Counter((f"{n}-{name}", label, sign) for n in range(number) for name, label, sign in of_one)
    in_the_end = label_sums(reference, [0.75] * 3, ["1"] * 3, ["1", "1", "0"]).ravel()
    return outcomes, in_the_end * number, number


@pytest.mark.timeout(0)
def test_the_join_killed_at_every_line_says_each_outcome_once(cluster, store, send, reference, request) -> None:
    """A label waits for its prediction through the death; the store knows some of what was joined, the log the rest."""
    ensure_observations(store, "m", [])
    life = partial(join, cluster, store.settings, reference)
    predict(store, 0, "abc")
    send(labels(0))
    lines = live(life, JOIN)
    for number, line in enumerate(lines_to_die_at(request, lines), 1):
        predict(store, number, "ac")
        send(labels(number))
        live(partial(life, turns_max=3), JOIN, dies_at=line)
        predict(store, number, "b")
        if number % 3 == 0:
            write(cluster, store.settings, ["outcomes"])
        life()
        (outcomes, sums, letters), wanted = joined(cluster), meant(reference, number + 1)
        assert (outcomes, letters) == (wanted[0], wanted[2]), f"killed at line {line}"
        assert (sums == wanted[1]).all(), f"killed at line {line}"
