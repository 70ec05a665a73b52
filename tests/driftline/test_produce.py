"""Files against a real broker: what stands on `requests` and `feedback` is what the file said, as JSON says it."""

import datetime as dt
import json
import threading
import time
from contextlib import contextmanager

import confluent_kafka as ck
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from driftline.commands.dead_letters import find
from driftline.commands.produce import Plan, PlanError, check, produce, summary
from driftline.commands.row_files import RowFile, RowFileError
from streams.formats.json import JsonDecoder
from streams.kafka import ranges
from streams.kafka.admin import Layout, TopicError, create, partition_counts
from streams.kafka.cluster import Cluster
from streams.kafka.topics import TOPICS
from streams.routes import announce
from streams.wire.block import Block
from streams.wire.dead_letters import dead_letter
from streams.wire.records import Route
from streams.wire.refusals import Refusal
from streams.wire.schema import Feature, FeatureSchema

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)

TABLE = pa.table(
    {
        "who": pa.array(["a", "b", "c"]),
        "at": pa.array([NOON] * 3, pa.timestamp("us", "Europe/Rome")),
        "age": pa.array([41, None, 7], pa.int64()),
        "income": pa.array([1.5, float("nan"), None]),
        "city": pa.array(["Rome", None, "Oslo"]).dictionary_encode(),
        "vip": pa.array([True, False, None]),
        "born": pa.array([dt.date(1985, 1, 2), None, None]),
        "paid": pa.array([1, 0, None], pa.int8()),
    }
)


@pytest.fixture
def cluster(kafka: str, topic_prefix: str) -> Cluster:
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout(requests=2))
    deadline = time.monotonic() + 15  # a topic that was created is known to all of a broker a moment later
    while len(partition_counts(cluster)) < len(TOPICS) and time.monotonic() < deadline:
        time.sleep(0.02)
    return cluster


@pytest.fixture
def parquet(tmp_path):
    pq.write_table(TABLE, tmp_path / "people.parquet")
    return tmp_path / "people.parquet"


def messages(cluster, topic):
    """Values and keys of a topic, in the order of their ids."""
    found = [
        (json.loads(value), key, block.partition)
        for block in ranges.read_all(cluster, topic)
        for value, key in zip(block.values, block.keys, strict=True)
    ]
    return sorted(found, key=lambda message: str(message[0].get("id")))


def test_parquet_rows_are_requests_and_labels_follow(cluster, parquet):
    plan = Plan(path=parquet, model="churn", id="who", time="at", key="city", exclude=("born",), labels="paid")
    sent = produce(cluster, plan)
    assert (sent.requests, sent.labels, sent.failed) == (3, 2, 0)
    common = {"ts": "2026-03-01T12:00:00.000Z", "model": "churn"}
    requests = messages(cluster, "requests")
    assert [value for value, _, _ in requests] == [
        {"id": "a", **common, "features": {"age": 41, "income": 1.5, "city": "Rome", "vip": True}},
        {"id": "b", **common, "features": {"age": None, "income": None, "city": None, "vip": False}},
        {"id": "c", **common, "features": {"age": 7, "income": None, "city": "Oslo", "vip": None}},
    ]
    assert [key for _, key, _ in requests] == [b"Rome", None, b"Oslo"]
    assert type(requests[0][0]["features"]["age"]) is int
    labels = [(value, key) for value, key, _ in messages(cluster, "feedback")]
    assert labels == [({"id": "a", "label": 1}, b"a"), ({"id": "b", "label": 0}, b"b")]


def test_what_is_sent_is_what_the_codec_reads(cluster, parquet):
    schema = FeatureSchema((Feature("age"), Feature("city", "categorical", categories=("Rome",))))
    produce(cluster, Plan(path=parquet, id="who", time="at"))
    decode = JsonDecoder(lambda model: ("churn", schema))
    for block in ranges.read_all(cluster, "requests"):
        rows, refused = decode(block)
        assert refused == []
        assert set(rows["churn"].ts.tolist()) == {int(NOON.timestamp() * 1000)}


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_csv_and_json_lines_say_the_same(cluster, tmp_path, ending):
    path = tmp_path / f"rows.{ending}"
    if ending == "csv":
        pacsv.write_csv(pa.table({"id": [1, 2], "x": [0.5, None], "n": [3, 4], "t": ["a", "b,c"]}), path)
    else:
        path.write_text('{"id":1,"x":0.5,"n":3,"t":"a"}\n\n{"id":2,"x":null,"n":4,"t":"b,c"}\n')
    produce(cluster, Plan(path=path, id="id"))
    assert [value for value, _, _ in messages(cluster, "requests")] == [
        {"id": 1, "features": {"x": 0.5, "n": 3, "t": "a"}},
        {"id": 2, "features": {"x": None, "n": 4, "t": "b,c"}},
    ]


def test_labels_alone_and_rows_bounded(cluster, parquet):
    sent = produce(cluster, Plan(path=parquet, id="who", labels="paid", feedback=True, rows=1))
    assert (sent.requests, sent.labels) == (0, 1)
    assert messages(cluster, "requests") == []


def test_the_rate_is_kept(cluster, tmp_path):
    pq.write_table(pa.table({"x": list(range(60))}), tmp_path / "x.parquet")
    began = time.monotonic()
    assert produce(cluster, Plan(path=tmp_path / "x.parquet", rate=100)).requests == 60
    assert time.monotonic() - began > 0.55


def test_a_message_too_large_is_counted_and_the_rest_is_sent(cluster, tmp_path):
    pq.write_table(pa.table({"text": ["x" * 1_100_000, "small"]}), tmp_path / "x.parquet")
    sent = produce(cluster, Plan(path=tmp_path / "x.parquet"))
    assert (sent.requests, sent.failed) == (1, 1)
    assert "large" in sent.why


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([[1], [2]]), "'bad' is list<"),
        (pa.array([b"1", b"2"]), "'bad' is binary"),
        (pa.array([dt.timedelta(1), None]), "'bad' is duration"),
        (pa.array([1.0, float("inf")]), "row 1: column 'bad' is infinite"),
    ],
)
def test_what_json_cannot_say_is_refused_by_name(tmp_path, column, said):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"good": [1, 2], "bad": column}), path)
    with pytest.raises(RowFileError, match="--exclude bad") as error:
        list(RowFile(path).batches())
    assert said in str(error.value)
    assert list(RowFile(path, leave=["bad"]).batches()) == [[{"good": 1}, {"good": 2}]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"x": 1}\n{"x": [1]}\n', "line 2: column 'x' is a list"),
        ('{"x": 1}\n[1]\n', "line 2: Expected `object`"),
    ],
)
def test_broken_lines_are_named(tmp_path, text, said):
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(RowFileError) as error:
        list(RowFile(path).batches())
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"labels": "paid"}, "give --labels COLUMN and --id COLUMN"),
        ({"id": "nobody"}, "no column 'nobody'"),
        ({"id": "income"}, "column 'income' holds 1.5; an id is"),
        ({"time": "age"}, "column 'age' holds 41; a time is"),
    ],
)
def test_plans_that_cannot_be_carried_out(cluster, parquet, plan, said):
    with pytest.raises(PlanError) as error:
        produce(cluster, Plan(path=parquet, **plan))
    assert said in str(error.value)


@pytest.mark.parametrize("name", ["id", "time", "key", "labels"])
def test_columns_of_a_backfill_are_looked_for_before_the_cluster_is_asked(cluster, parquet, name):
    """Else a second attempt with a misspelt column would speak of late rows alone."""
    announce(cluster, lambda book: Route(model="churn", epoch=0, ts=0, champion="v1"))
    right = {"id": "who", "time": "at", "key": "city", "labels": "paid"}
    with pytest.raises(PlanError, match=rf"no column '{right[name]}s'; did you mean {right[name]}\?"):
        check(cluster, Plan(path=parquet, backfill=True, **right | {name: right[name] + "s"}))


def test_what_would_be_refused_row_by_row_is_not_sent(cluster, kafka, parquet):
    (none,) = check(cluster, Plan(path=parquet))
    assert "the requests wait until one does, `driftline model route NAME VERSION`" in none
    announce(cluster, lambda book: Route(model="churn", epoch=0, ts=0, champion="v1"))
    assert check(cluster, Plan(path=parquet)) == check(cluster, Plan(path=parquet, model="churn")) == []
    with pytest.raises(PlanError, match=r"no model 'chrun' serves.*did you mean churn"):
        check(cluster, Plan(path=parquet, model="chrun"))
    announce(cluster, lambda book: Route(model="tips", epoch=0, ts=0, champion="v1"))
    with pytest.raises(PlanError, match=r"2 models serve and none is named.*add --model, one of churn, tips"):
        check(cluster, Plan(path=parquet))
    assert check(cluster, Plan(path=parquet, model="tips")) == check(cluster, Plan(path=parquet), ["tips"]) == []
    with pytest.raises(TopicError, match="topics create"):
        check(Cluster(bootstrap=kafka, prefix="nobody."), Plan(path=parquet))


@contextmanager
def worker(cluster, slow=()):
    """A worker as far as those who wait for it can see: it settles a record together with its dead letter, or alone;
    a ``slow`` one is never settled."""
    ended = threading.Event()

    def run():
        consumer, producer = cluster.consumer("score"), cluster.producer("score-0")
        producer.init_transactions(15)
        partitions = partition_counts(cluster)["requests"]
        consumer.assign([ck.TopicPartition(cluster.topic("requests"), n, 0) for n in range(partitions)])
        while not ended.is_set():
            for message in consumer.consume(100, 0.05):
                row = json.loads(message.value())["features"]
                if row["n"] in slow:
                    ended.wait()
                    break
                producer.begin_transaction()
                if row["n"] is None:
                    block = Block.of_messages("requests", message.partition(), [message])
                    letter = dead_letter(block, Refusal(0, "missing_field", "$.n", "it is not there"), "score")
                    producer.produce(cluster.topic("dead-letters"), letter.value, headers=letter.headers)
                behind = ck.TopicPartition(message.topic(), message.partition(), message.offset() + 1)
                producer.send_offsets_to_transaction([behind], consumer.consumer_group_metadata())
                producer.commit_transaction()
        consumer.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def numbers(folder, *values):
    pq.write_table(pa.table({"n": pa.array(values, pa.int64())}), folder / "n.parquet")
    return Plan(path=folder / "n.parquet")


def test_what_was_refused_is_counted_with_its_reason(cluster, tmp_path):
    before = numbers(tmp_path, None, 1)
    produce(cluster, before)  # somebody else's, and refused as well
    plan = numbers(tmp_path, *range(50), None, None)
    with worker(cluster):
        sent = produce(cluster, plan, follow=True)
    outcomes = sent.outcomes["requests"]
    assert (outcomes.answered, outcomes.refused, outcomes.waiting) == (50, 2, 0)
    (why,) = outcomes.refusals
    assert (why.reason, why.records, why.field, why.detail) == ("missing_field", 2, "$.n", "it is not there")
    assert not sent.complete
    said = summary(sent)
    assert "requests: 50 answered, 2 REFUSED" in said and "2 missing_field: a required field is missing" in said
    assert f"driftline dead-letters show {why.place}" in said
    place = find(cluster, why.place, 0)[0]
    assert place.reason == "missing_field"


def test_all_answered_is_said(cluster, tmp_path):
    with worker(cluster):
        sent = produce(cluster, numbers(tmp_path, *range(20)), follow=True)
    assert sent.complete and "requests: 20 answered\n" in summary(sent) + "\n"


def test_nobody_is_waited_for_for_ever(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("driftline.commands.request_outcomes.NOBODY_S", 1.0)  # the worker below has joined no group
    with worker(cluster, slow=(3,)):
        sent = produce(cluster, numbers(tmp_path, 3, 3, 3), follow=True)
    assert sent.outcomes["requests"].waiting == 3 and not sent.complete
    assert "0 answered, 3 wait" in summary(sent) and "driftline status" in summary(sent)


def test_a_backfill_goes_in_order_to_all_partitions_and_comes_before_live_traffic(cluster, tmp_path):
    rows = pa.table({
        "ts": pa.array([NOON - dt.timedelta(minutes=m) for m in range(200)], pa.timestamp("ms", "UTC")),
        "age": pa.array(range(200)),
    })  # fmt: skip
    pq.write_table(rows, tmp_path / "past.parquet")
    plan = Plan(path=tmp_path / "past.parquet", time="ts", backfill=True)
    with pytest.raises(PlanError, match="no model serves yet"):
        check(cluster, plan)
    announce(cluster, lambda book: Route(model="m", epoch=0, ts=0, champion="v1"))
    with pytest.raises(PlanError, match="--time COLUMN"):
        check(cluster, Plan(path=plan.path, backfill=True))
    (note,) = check(cluster, plan)
    assert note.startswith(
        "note: a backfill of 200 rows, 2026-03-01T08:41:00Z to 2026-03-01T12:00:00Z, in order of 'ts', by which"
    )
    produce(cluster, plan)
    seen = {}
    for block in ranges.read_all(cluster, "requests"):
        seen.setdefault(block.partition, []).extend(json.loads(value)["ts"] for value in block.values)
    assert sorted(map(len, seen.values())) == [100, 100] and all(times == sorted(times) for times in seen.values())
    leave(cluster, json.dumps({"m": {"requests/1": {"v1": int(NOON.timestamp() * 1000) + 600_000}}}))
    with pytest.raises(PlanError, match="has seen event times up to 2026-03-01T12:10:00Z, so 200 of 200 rows"):
        check(cluster, plan)


def test_labels_of_a_backfill_are_sent_after_each_stretch_of_it(cluster, tmp_path):
    """Windows that have closed are kept for labels only so long: those of the beginning cannot wait for the end."""
    days = 40
    pq.write_table(
        pa.table({
            "who": [f"p{d}" for d in reversed(range(days))],
            "ts": pa.array([NOON - dt.timedelta(days=d) for d in range(days)], pa.timestamp("ms", "UTC")),
            "age": pa.array(range(days)),
            "paid": pa.array([None if d == 3 else d % 2 for d in range(days)]),
        }),
        tmp_path / "past.parquet",
    )  # fmt: skip
    announce(cluster, lambda book: Route(model="m", epoch=0, ts=0, champion="v1"))
    plan = Plan(path=tmp_path / "past.parquet", id="who", time="ts", labels="paid", backfill=True)
    sent = produce(cluster, plan)
    assert (sent.requests, sent.labels, sent.failed) == (days, days - 1, 0)
    assert "paid" not in messages(cluster, "requests")[0][0]["features"]
    arrived = {
        topic: {
            json.loads(value)["id"]: at
            for block in ranges.read_all(cluster, topic)
            for value, at in zip(block.values, block.times, strict=True)
        }
        for topic in ("requests", "feedback")
    }
    first, last = [f"p{d}" for d in range(15)], [f"p{d}" for d in range(30, days)]
    labels = arrived["feedback"].items()
    assert max(at for who, at in labels if who in first) <= min(arrived["requests"][who] for who in last)


def leave(cluster: Cluster, memory: str) -> None:
    """Commit what the count stage remembers beside its offset."""
    reader = cluster.reader(**{"group.id": cluster.prefix + "count"})
    place = ck.TopicPartition(cluster.topic("observations"), 0, 0, memory)
    reader.commit(offsets=[place], asynchronous=False)
    reader.close()
