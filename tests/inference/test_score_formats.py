"""A message of many requests through the score step: an answer a row, and a dead letter for each row at fault."""

import json

import msgspec
import numpy as np
import pyarrow as pa

from inference import Limits, ModelPackage, Outputs, Patience, Score, Scorer, Serving, Shapes
from streams.wire import observation
from streams.wire.block import Block
from streams.wire.records import Prediction, Route
from streams.wire.schema import Feature


class Same:
    shapes = Shapes((16,))

    def score(self, matrix):
        if (matrix[:, 0] == 7).any():
            raise ValueError("seven is not for us")
        return matrix[:, :1]


def step():
    package = ModelPackage(
        name="same",
        version="v1",
        task="regression",
        artefact="m.py:M",
        inputs=(Feature("x", required=True),),
        limits=Limits(batch_rows=16),
        outputs=Outputs(),
    )
    found = Serving(lambda name, version: Scorer(package, Same(), Patience(), sleep=lambda seconds: None))
    found.follow(Route(model="same", epoch=1, ts=0, champion="v1"))
    return Score(found)


def arrow(columns):
    batch = pa.record_batch(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def block(*values, headers):
    made = Block.of("requests", 2, values, first=40, time=1_700_000_000_000)
    return msgspec.structs.replace(made, headers=headers)


def out(effects, topic):
    return [message for message in effects.publish if message.topic == topic]


def test_what_records_ask_for_is_told_before_they_are_read():
    many = arrow({"x": pa.nulls(9_000)})
    torn, huge = many[:-400], arrow({"x": pa.nulls(40_000)})
    packed = [("content-type", b"application/vnd.driftline.float32")]
    values = (b'{"x": 1}', many, torn, huge, np.zeros(70, "<f4").tobytes(), None)
    headers = [None, None, None, None, packed, None]
    assert len(many) < 700
    assert step().weigh(block(*values, headers=headers)) == [1, 9_000, 1, 10_000, 70, 1]
    assert step().weigh(block(b'{"x": 1}', None, headers=[None, None])) is None


def test_each_row_of_a_batch_is_answered_beside_other_formats():
    carried = [
        ("ce_id", b"e"),
        ("ce_type", b"t"),
        ("ce_source", b"s"),
        ("traceparent", b"00-1"),
        ("content-type", b"x"),
    ]
    value = arrow({"x": [0.5, None, 7, 2.5, 7], "id": ["a", "b", "c", None, "d"]})
    [effects] = step().process([block(b'{"x": 1, "id": "first"}', value, headers=[None, carried])])
    answers = out(effects, "predictions")
    said = [msgspec.json.decode(message.value, type=Prediction) for message in answers]
    assert [(p.id, p.score) for p in said] == [("first", 1.0), ("a", 0.5), ("e/3", 2.5)]
    assert [m.headers for m in answers] == [None, carried[:4], carried[:4]]
    assert [(m.at, m.partition) for m in answers] == [(0, 2), (1, 2), (1, 2)]
    [seen] = out(effects, "observations")
    head, batch = observation.decode(seen.value)
    assert (head.first, head.last) == (40, 41)
    assert list(zip(batch["offset"].to_pylist(), batch["row"].to_pylist(), strict=True)) == [(40, 0), (41, 0), (41, 3)]
    letters = out(effects, "dead-letters")
    told = [{name: text.decode() for name, text in m.headers} for m in letters]
    assert [(t["driftline-field"], t["driftline-reason"]) for t in told] == [
        ("$[1].x", "missing_field"),
        ("$[2]", "model_failed"),
        ("$[4]", "model_failed"),
    ]
    assert [m.value for m in letters] == [value, b"", b""]  # the bytes stand once
    assert {t["driftline-offset"] for t in told} == {"41"}
    assert [t.get("driftline-bytes") for t in told] == [None, str(len(value)), str(len(value))]


def test_rows_of_one_message_lie_in_order_whatever_their_number():
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 60, 30)
    values = [arrow({"x": np.arange(n) + 100.0}) for n in sizes]
    values[3:4] = [json.dumps({"x": 1}).encode()]
    sizes[3] = 1
    [effects] = step().process([block(*values, headers=[None] * 30)])
    said = [msgspec.json.decode(message.value, type=Prediction) for message in out(effects, "predictions")]
    expected = [f"requests/2/{40 + at}" + (f"/{n}" if at != 3 else "") for at, k in enumerate(sizes) for n in range(k)]
    assert [p.id for p in said] == expected
