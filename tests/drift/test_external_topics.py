"""The watch stage with lists: records of somebody else's topic in; observations, feedback and dead letters out."""

import json

import msgspec
import numpy as np
import pandas as pd
import pytest

from drift import Reference
from drift.counting.external import ExternalTopics, Mapping, Misfit, RecordReader
from drift.counting.stage import Count
from streams.formats.untyped import UntypedReader
from streams.wire import observation
from streams.wire.block import Block
from streams.wire.records import CountsMessage, Idle, Label, PartialCounts, Watch

ARRIVED_MS = 1_700_000_000_000


@pytest.fixture(scope="module")
def reference():
    rng = np.random.default_rng(3)
    age, p = rng.normal(40, 10, 500), rng.random(500)
    city = rng.choice(["Rome", "Oslo"], 500)
    frame = pd.DataFrame({"age": age, "city": city, "p": p, "hat": np.where(p > 0.5, "yes", "no"), "y": "yes"})
    frame.loc[:99, "y"] = "no"
    return Reference.fit(frame, task="binary", score="p", prediction="hat", label="y")


FULL = Mapping(
    topic="answers",
    model="churn",
    version="v3",
    id="request.id",
    ts="at",
    score="output.scores.1",
    prediction="output.class",
    label="truth",
    features="input",
    columns={"city": "customer.town"},
    where={"kind": "answer"},
)


def record(n=0, **more):
    return {
        "kind": "answer",
        "request": {"id": f"r{n}"},
        "at": ARRIVED_MS + n,
        "input": {"age": 30 + n, "colour": "red"},
        "customer": {"town": "Rome"},
        "output": {"scores": [0.75, 0.25], "class": "no"},
    } | more


def block(*values, first=100, headers=None, keys=None):
    raw = [v if isinstance(v, bytes | None) else json.dumps(v).encode() for v in values]
    made = Block.of("@answers", 5, raw, first=first, time=ARRIVED_MS)
    n = len(raw)
    return msgspec.structs.replace(made, headers=headers or [None] * n, keys=keys or [None] * n)


def fold(reference, made, *mappings):
    record_readers = [RecordReader(mapping, reference if mapping.predicts else None) for mapping in mappings or (FULL,)]
    return ExternalTopics(record_readers, UntypedReader(), 9, 4).process(made).publish


def out(publish, topic):
    return [message for message in publish if message.topic == topic]


def letters(publish):
    told = [{name: text.decode() for name, text in message.headers} for message in out(publish, "dead-letters")]
    return [(int(t["driftline-offset"]), t["driftline-reason"], t["driftline-field"]) for t in told]


def test_a_record_is_an_observation_of_the_model(reference):
    strange = record(1, customer={"town": "Bari"}, input={}, output={"scores": [0.5, 0.5], "class": True})
    publish = fold(reference, block(record(0), {"kind": "heartbeat"}, None, strange, record(2, truth=1)))
    [message] = out(publish, "observations")
    assert message.partition == 5 % 4
    head, batch = observation.decode(message.value)
    assert head == observation.Head(
        model="churn", version="v3", topic="@answers", partition=5, first=100, last=104, partitions=9
    )
    assert batch.to_pydict() == {
        "id": ["r0", "r1", "r2"],
        "ts": [ARRIVED_MS, ARRIVED_MS + 1, ARRIVED_MS + 2],
        "offset": [100, 103, 104],
        "row": [0, 0, 0],
        "score": [0.25, 0.5, 0.25],
        "prediction": ["no", "true", "no"],
        "route": ["champion"] * 3,
        "age": [30.0, None, 32.0],
        "city": ["Rome", "Bari", "Rome"],
    }
    [label] = out(publish, "feedback")
    assert (label.key, msgspec.json.decode(label.value, type=Label)) == (b"r2", Label("r2", "1", ARRIVED_MS))
    assert letters(publish) == []


@pytest.mark.parametrize(
    ("value", "reason", "field"),
    [
        (b"{", "undecodable", "$"),
        (b"", "empty", "$"),
        (record(output={"class": "no"}), "missing_field", "$.output.scores.1"),
        (record(output={"scores": [1, "high"], "class": "no"}), "wrong_type", "$.output.scores.1"),
        (record(output={"scores": [1, True], "class": "no"}), "wrong_type", "$.output.scores.1"),
        (record(output={"scores": [1, 2]}), "missing_field", "$.output.class"),
        (record(output={"scores": [1, 2], "class": ["no"]}), "wrong_type", "$.output.class"),
        (record(input={"age": "old"}), "wrong_type", "$.input.age"),
        (record(customer={"town": True}), "wrong_type", "$.customer.town"),
        (record(request={}), "missing_field", "$.request.id"),
        (record(request={"id": 1.5}), "impossible_id", "$.request.id"),
        (record(at="soon"), "impossible_timestamp", "$.at"),
        (record(at=[1]), "impossible_timestamp", "$.at"),
        (record(at=ARRIVED_MS + 4_000_000), "impossible_timestamp", "$.at"),
        (record(truth={"y": 1}), "wrong_type", "$.truth"),
    ],
)
def test_what_cannot_be_read_is_a_dead_letter_with_the_place_in_their_record(reference, value, reason, field):
    publish = fold(reference, block(value, record()))
    assert letters(publish) == [(100, reason, field)]
    assert [observation.decode(m.value)[1]["offset"].to_pylist() for m in out(publish, "observations")] == [[101]]
    assert {m.value for m in out(publish, "dead-letters")} == {block(value).values[0]}


def test_any_json_is_passed_over_or_refused_and_never_a_crash(reference):
    odd = [b"3", b"null", b"[]", b'"x"', b'{"kind": null}', b'{"kind": "answer"}', b'{"kind": "answer", "request": 7}']
    publish = fold(reference, block(*odd))
    assert [letter[0] for letter in letters(publish)] == [105, 106]


def test_the_judge_hears_of_what_is_refused(reference):
    publish = fold(reference, block(record(0), record(1, input={"age": "old"}), record(2, output={}), b"?"))
    [(head, batch)] = [observation.decode(message.value) for message in out(publish, "observations")]
    assert batch.num_rows == 1 and head.refused == [
        observation.RefusedRequest(101, ARRIVED_MS + 1, True, "wrong_type", "age", "str"),
        observation.RefusedRequest(102, ARRIVED_MS + 2, True, "missing_field", "", ""),
        observation.RefusedRequest(103, ARRIVED_MS, False, "undecodable", "", ""),
    ]
    [counts] = (
        Count(lambda *_: reference, lambda _: Watch(), 9)
        .process(Block.of("observations", 1, [message.value for message in out(publish, "observations")]))
        .publish
    )
    assert sum(one.many for one in msgspec.msgpack.decode(counts.value, type=PartialCounts).refused) == 3


def test_labels_alone_by_key_and_header(reference):
    labels = Mapping(topic="truth", model="", version="", id="@key", label="@header.y", ts="when")
    headers = [[("y", b"yes")], [("y", b"no"), ("z", None)], None, [("y", b"no")]]
    keys = [b"a", b"b", b"c", None]
    values = [{"when": "2023-11-14T22:13:19Z"}, {}, {}, {}]
    publish = fold(reference, block(*values, headers=headers, keys=keys), labels)
    said = [msgspec.json.decode(m.value, type=Label) for m in out(publish, "feedback")]
    assert said == [Label("a", "yes", ARRIVED_MS - 1000), Label("b", "no", ARRIVED_MS)]
    assert letters(publish) == [(102, "missing_field", "@header.y"), (103, "missing_field", "@key")]


def test_two_models_on_one_topic(reference):
    plain = msgspec.structs.replace(FULL, model="other", label="", where={"kind": "other"}, id="")
    publish = fold(reference, block(record(0), record(1, kind="other"), record(2)), FULL, plain)
    seen = [observation.decode(m.value) for m in out(publish, "observations")]
    assert [(head.model, head.first, head.last, batch["id"].to_pylist()) for head, batch in seen] == [
        ("churn", 100, 102, ["r0", "r2"]),
        ("other", 101, 101, ["@answers/5/101"]),
    ]


def test_a_mapping_must_name_what_the_reference_has(reference):
    with pytest.raises(Misfit, match=r"^prediction: the reference of churn v3 has one"):
        RecordReader(msgspec.structs.replace(FULL, prediction=""), reference)
    with pytest.raises(Misfit, match=r"^score: "):
        RecordReader(msgspec.structs.replace(FULL, score=""), reference)


def test_the_counts_are_those_of_the_rows_and_a_silence_reaches_the_judge_behind_them(reference):
    publish = fold(reference, block(*(record(n) for n in range(50))))
    stage = ExternalTopics([RecordReader(FULL, reference)], UntypedReader(), 9, 4)
    quiet = [stage.silence("@answers", 5, word, 1_234).publish for word in ("idle", "asleep")]
    messages = [*out(publish, "observations"), *(m for several in quiet for m in several)]
    assert {m.partition for m in messages} == {1}
    count = Count(lambda model, version: reference, lambda model: Watch(), 4)
    counted = count.process(Block.of("observations", 1, [m.value for m in messages])).publish
    said = [msgspec.msgpack.decode(m.value, type=CountsMessage) for m in counted]
    assert isinstance(said[0], PartialCounts)
    assert (said[0].topic, said[0].partition, said[0].partitions) == ("@answers", 5, 9)
    assert (sum(minute.rows for minute in said[0].minutes), said[0].watermark_ms) == (50, ARRIVED_MS + 49)
    assert said[1:] == [
        Idle(model="churn", topic="@answers", partition=5, partitions=9, asleep=asleep, repeated=True, at_ms=1_234)
        for asleep in (False, True)
    ]


def test_any_split_into_blocks_sees_the_same(reference):
    records = [record(n, truth=n % 2) if n % 3 else {"kind": "answer"} for n in range(40)]
    whole = block(*records)

    def seen(blocks):
        publish = [m for one in blocks for m in fold(reference, one)]
        rows = [observation.decode(m.value)[1].to_pylist() for m in out(publish, "observations")]
        labels = [m.value for m in out(publish, "feedback")]
        return [row for several in rows for row in several], labels, letters(publish)

    assert seen([whole]) == seen([whole[0:1], whole[1:17], whole[17:40]])


@pytest.mark.parametrize(
    ("features", "inside"),
    [
        ("in", {"in": {"sepal.length": 5.5}}),
        ("$", {"sepal.length": 5.5}),
        ("$", {"sepal": {"length": 5.5}}),
        ("in", {"in": {"sepal": {"length": 5.5}}}),
        ("in.row", {"in.row": {"sepal.length": 5.5}}),
        ("in.row", {"in": {"row": {"sepal": {"length": 5.5}}}}),
        ("in.0", {"in": [{"sepal.length": 5.5}]}),
        ("$", {"sepal": None, "sepal.length": 5.5}),
        ("$", {"sepal.length": None, "sepal": {"length": 5.5}}),
    ],
)
def test_a_name_with_dots_is_found_as_it_stands_or_as_a_path(features, inside):
    length = np.random.default_rng(0).normal(5.8, 0.8, 500)
    irises = Reference.fit(pd.DataFrame({"sepal.length": length, "p": 1 / (1 + np.exp(5.8 - length))}), score="p")
    mapping = Mapping(topic="t", model="iris", version="v1", id="id", score="p", features=features)
    publish = fold(irises, block({"id": "a", "p": 0.4, **inside}), mapping)
    _, batch = observation.decode(out(publish, "observations")[0].value)
    assert batch.column("sepal.length").to_pylist() == [5.5] and not letters(publish)


@pytest.mark.parametrize(("said", "kept"), [(True, "1"), (1.0, "1"), ("1.0", "1"), ("FALSE", "0"), ("none", "none")])
def test_a_predicted_class_is_spelled_as_the_reference_spells_it(said, kept):
    p = np.random.default_rng(1).random(500)
    frame = pd.DataFrame({"age": p, "p": p, "hat": (p > 0.5).astype(int), "y": (p > 0.4).astype(int)})
    judged = Reference.fit(frame, task="binary", score="p", prediction="hat", label="y")
    mapping = Mapping(topic="t", model="m", version="v1", id="id", score="p", prediction="hat")
    publish = fold(judged, block({"id": "a", "p": 0.4, "hat": said, "age": 0.5}), mapping)
    _, batch = observation.decode(out(publish, "observations")[0].value)
    assert batch.column("prediction").to_pylist() == [kept]


def test_partitions_that_went_with_a_topic_are_told_asleep_and_hold_no_watermark_back(reference):
    """A topic of four partitions is made again with two: nobody would ever hear of the others."""
    stage = ExternalTopics([RecordReader(FULL, reference)], UntypedReader(), 0, 2)
    stage.resize(4)
    assert silences(stage.process(block(record()))) == []
    stage.resize(2)
    assert silences(stage.process(block(record()))) == [(2, "asleep", 2), (3, "asleep", 2)]
    assert silences(stage.process(block(record()))) == []
    stage.resize(2)  # a block that was dropped comes again, to a stage that begins anew
    assert silences(stage.process(block(record()))) == [(2, "asleep", 2), (3, "asleep", 2)]
    stage.resize(4)
    assert silences(stage.process(block(record()))) == []


def silences(effects):
    """Partition, silence and the topic's partitions of each observation that says a partition is silent."""
    heads = [observation.decode(m.value)[0] for m in effects.publish if m.topic == "observations"]
    return [(head.partition, head.silence, head.partitions) for head in heads if head.silence]
