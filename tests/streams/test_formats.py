"""Arrow batches and packed rows against JSON: the same requests give the same rows, and one bad row harms no other."""

import json
import math

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.formats.decoder import Decoder
from streams.formats.envelope import AHEAD_MS_MAX
from streams.formats.json import JsonDecoder
from streams.wire.block import Block
from streams.wire.message_limits import BYTES_MAX, ROWS_MAX
from streams.wire.schema import Feature, FeatureSchema

ARRIVED_MS = 1_700_000_000_000
SCHEMA = FeatureSchema(
    (
        Feature("tenure"),
        Feature("age", required=True),
        Feature("city", "categorical", categories=("Rome", "16")),
        Feature("member", "boolean"),
    )
)
NAN = math.nan


def only(model):
    return ("churn", SCHEMA) if model in (None, "churn") else None


def block(*values, headers=None):
    made = Block.of("requests", 3, values, first=1041, time=ARRIVED_MS)
    return made if headers is None else msgspec.structs.replace(made, headers=headers)


def arrow(columns, kind=pa.ipc.new_stream, compression=None):
    batch = columns if isinstance(columns, pa.RecordBatch) else pa.record_batch(columns)
    sink = pa.BufferOutputStream()
    with kind(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def packed(*rows):
    return np.array(rows, "<f4").tobytes()


def same(left, right):
    assert np.array_equal(left.matrix, right.matrix, equal_nan=True)
    assert left.unseen == right.unseen
    assert left.ts.tolist() == right.ts.tolist()


REQUESTS = [
    {"age": 41, "tenure": 2.5, "city": "Rome", "member": True},
    {"age": 0.1, "tenure": None, "city": "Oslo", "member": None},
    {"age": -1, "tenure": 3, "city": None, "member": False},
    {"age": 7, "tenure": 1e300, "city": "16", "member": True},
]


def columns_of(requests):
    return {name: [request[name] for request in requests] for name in SCHEMA.names}


@pytest.mark.parametrize("kind", [pa.ipc.new_stream, pa.ipc.new_file])
@pytest.mark.parametrize("compression", [None, "zstd"])
def test_an_arrow_batch_is_its_rows_as_json(kind, compression):
    rows, refused = Decoder(only)(block(b'{"age": 1}', arrow(columns_of(REQUESTS), kind, compression)))
    expected, _ = JsonDecoder(only)(block(b'{"age": 1}', *(json.dumps(r).encode() for r in REQUESTS)))
    assert refused == []
    same(rows["churn"], expected["churn"])
    assert rows["churn"].at.tolist() == [0, 1, 1, 1, 1]
    assert rows["churn"].row.tolist() == [0, 0, 1, 2, 3]
    assert rows["churn"].ids == ["requests/3/1041", *(f"requests/3/1042/{n}" for n in range(4))]


def test_packed_rows_are_the_matrix():
    sent = [[2.5, 41, 0, 1], [NAN, 7, NAN, NAN], [1, math.inf, 1, 0]]
    rows, refused = Decoder(only, format="packed")(block(packed(sent[0]), packed(*sent[1:])))
    null = SCHEMA["city"].null_code
    assert refused == []
    assert np.array_equal(
        rows["churn"].matrix, np.array([sent[0], [NAN, 7, null, NAN], sent[2]], np.float32), equal_nan=True
    )
    assert rows["churn"].ids == ["requests/3/1041", "requests/3/1042/0", "requests/3/1042/1"]
    assert rows["churn"].at.tolist() == [0, 1, 1] and rows["churn"].row.tolist() == [0, 0, 1]


def test_packed_rows_are_those_of_the_champion_while_another_version_takes_more():
    champion = FeatureSchema((Feature("age", required=True),))
    rows, refused = Decoder(only, format="packed", packed=lambda model: champion)(block(packed([41], [NAN])))
    assert rows["churn"].matrix[0, 1] == 41 and np.isnan(rows["churn"].matrix[0, [0, 3]]).all()
    assert rows["churn"].matrix[0, 2] == SCHEMA["city"].null_code
    assert [(r.reason, r.field) for r in refused] == [("missing_field", "$[1].age")]


@pytest.mark.parametrize(
    ("value", "refusals"),
    [
        (packed([1, NAN, 0, 1], [1, 2, 0, 1]), [("missing_field", "$[0].age")]),
        (packed([1, 2, 2, 1], [1, 2, 0, 1]), [("wrong_type", "$[0].city")]),
        (packed([1, 2, 0.5, 1], [1, 2, 0, 1]), [("wrong_type", "$[0].city")]),
        (packed([1, 2, -1, 1], [1, 2, math.inf, 1], [1, 2, 0, 1]), [("wrong_type", f"$[{n}].city") for n in (0, 1)]),
        (packed([1, 2, 0, 2], [1, 2, 0, 1]), [("wrong_type", "$[0].member")]),
    ],
)
def test_a_bad_packed_row_harms_no_other(value, refusals):
    rows, refused = Decoder(only, format="packed")(block(value))
    assert [(r.reason, r.field) for r in refused] == refusals and all(r.detail for r in refused)
    assert rows["churn"].row.tolist() == [len(value) // 16 - 1]


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, "empty"), (b"", "empty"), (b"x" * 17, "undecodable"), (bytes(BYTES_MAX + 16), "oversize")],
)
def test_a_packed_message_that_is_none(value, reason):
    rows, refused = Decoder(only, format="packed")(block(value))
    assert not rows and [(r.at, r.reason, r.field) for r in refused] == [(0, reason, "$")]


GOOD = {"age": pa.array([1.0, 2.0, 3.0])}


@pytest.mark.parametrize(
    ("columns", "refusals"),
    [
        ({"age": [1.0, None, NAN]}, [("missing_field", "$[1].age"), ("missing_field", "$[2].age")]),
        (GOOD | {"member": [0, 2, None]}, [("wrong_type", "$[1].member")]),
        (GOOD | {"id": ["a", "", "x" * 600]}, [("impossible_id", "$[1].id"), ("impossible_id", "$[2].id")]),
        (
            GOOD | {"ts": [ARRIVED_MS + AHEAD_MS_MAX + 1, 1_700_000_000, None]},
            [("impossible_timestamp", "$[0].ts"), ("impossible_timestamp", "$[1].ts")],
        ),
        (GOOD | {"ts": ["yesterday", "2023-11-14T22:13:20Z", None]}, [("impossible_timestamp", "$[0].ts")]),
    ],
)
def test_a_bad_arrow_row_harms_no_other(columns, refusals):
    rows, refused = Decoder(only)(block(arrow(columns)))
    assert [(r.reason, r.field) for r in refused] == refusals and all(r.detail for r in refused)
    bad = {int(r.field[2]) for r in refused}
    assert rows["churn"].row.tolist() == [n for n in range(3) if n not in bad]


@pytest.mark.parametrize(
    ("columns", "reason", "field"),
    [
        ({"tenure": [1.0]}, "missing_field", "$.age"),
        ({"age": ["41"]}, "wrong_type", "$.age"),
        ({"age": [True]}, "wrong_type", "$.age"),
        (GOOD | {"city": [True, False, None]}, "wrong_type", "$.city"),
        (GOOD | {"city": [[1], [2], []]}, "wrong_type", "$.city"),
        (GOOD | {"member": ["yes", "no", "no"]}, "wrong_type", "$.member"),
        (GOOD | {"id": [0.5, 1.5, 2.5]}, "wrong_type", "$.id"),
        (GOOD | {"ts": [0.5, 1.5, 2.5]}, "wrong_type", "$.ts"),
        (GOOD | {"model": ["churn", "churn", "other"]}, "wrong_type", "$.model"),
        (GOOD | {"model": ["other"] * 3}, "unknown_model", "$.model"),
        ({"age": pa.array([], pa.float64())}, "empty", "$"),
        ({"age": np.zeros(ROWS_MAX + 1, np.float32)}, "oversize", "$"),
        (pa.record_batch([pa.array([1.0])] * 2, ["age", "age"]), "undecodable", "$"),
    ],
)
def test_an_arrow_message_whose_columns_do_not_fit_is_one_refusal(columns, reason, field):
    rows, refused = Decoder(only)(block(b'{"age": 1}', arrow(columns)))
    assert [(r.at, r.reason, r.field) for r in refused] == [(1, reason, field)] and refused[0].detail
    assert rows["churn"].at.tolist() == [0]


def test_own_columns_of_an_arrow_batch():
    moment = pa.array([ARRIVED_MS, None, ARRIVED_MS - 5], pa.timestamp("ms", tz="Europe/Rome"))
    levels = pa.array(["Rome", "Oslo", None]).dictionary_encode()
    value = arrow(
        GOOD | {"id": [17, None, 3], "ts": moment, "city": levels, "model": ["churn"] * 3, "other": [[1]] * 3}
    )
    rows, refused = Decoder(only)(block(value))
    assert refused == []
    assert rows["churn"].ids == ["17", "requests/3/1041/1", "3"]
    assert rows["churn"].ts.tolist() == [ARRIVED_MS, ARRIVED_MS, ARRIVED_MS - 5]
    assert rows["churn"].matrix[:, 2].tolist() == [0, 2, 3] and rows["churn"].unseen == {2: {1: "Oslo"}}


def test_every_numeric_type_is_a_number_and_a_level_has_one_spelling():
    kinds = [pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.decimal128(25, 2)]
    for kind in kinds:
        rows, refused = Decoder(only)(block(arrow({"age": pa.array([16, None, 7]).cast(kind)})))
        assert (rows["churn"].matrix[:, 1].tolist(), len(refused)) == ([16, 7], 1), kind
    for kind in (pa.int64(), pa.float32(), pa.string(), pa.large_string(), pa.string_view()):
        rows, _ = Decoder(only)(block(arrow({"age": [1.0], "city": pa.array([16]).cast(kind)})))
        assert rows["churn"].matrix[0, 2] == 1, kind


def test_the_content_type_names_a_format_that_bytes_cannot():
    told = [("content-type", b"Application/vnd.driftline.float32; version=1")]
    json_, arrows = b'{"age": 4}', arrow({"age": [5.0, 6.0]})
    values = [packed([1, 2, 0, 1]), json_, json_, arrows, packed([1, 3, 0, 1]), b"\x00\x00\x00\x00\x07"]
    rows, refused = Decoder(only)(block(*values, headers=[told, None, [("content-type", b"text/x")], None, told, None]))
    assert rows["churn"].matrix[:, 1].tolist() == [2, 4, 4, 5, 6, 3]
    assert rows["churn"].at.tolist() == [0, 1, 2, 3, 3, 4]
    assert [(r.at, r.reason) for r in refused] == [(5, "unknown_schema")]


def test_a_cloud_event_gives_the_id_and_the_time_that_the_body_does_not():
    event = [("ce_id", b"e-1"), ("ce_time", b"2023-11-14T22:13:19Z"), ("empty", None)]
    values = [b'{"age": 1}', b'{"age": 1, "id": "own", "ts": 1700000000000}', arrow(GOOD), b'{"age": 1}', b'{"age": 1}']
    strange = [[("ce_id", b""), ("ce_time", None)], [("ce_time", b"soon")]]
    rows, refused = Decoder(only)(block(*values, headers=[event, event, event, *strange]))
    assert rows["churn"].ids == ["e-1", "own", "e-1/0", "e-1/1", "e-1/2", "requests/3/1044"]
    assert rows["churn"].ts.tolist() == [ARRIVED_MS - 1000, ARRIVED_MS, *[ARRIVED_MS - 1000] * 3, ARRIVED_MS]
    assert [(r.at, r.reason, r.field) for r in refused] == [(4, "impossible_timestamp", "ce_time")]
    rows, _ = Decoder(only, format="packed")(block(packed([1, 2, 0, 1]), headers=[event]))
    assert rows["churn"].ids == ["e-1"]


WHOLE = arrow(columns_of(REQUESTS), compression="lz4")


@settings(max_examples=300)
@given(st.data())
def test_spoiled_arrow_is_rows_or_refusals_and_no_crash(data):
    spoiled = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        spoiled[data.draw(st.integers(4, len(spoiled) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(spoiled)))
    value = bytes(spoiled[:cut] if data.draw(st.booleans()) else spoiled)
    rows, refused = Decoder(only, format="arrow")(block(value, WHOLE))
    whole = [at for r in rows.values() for at in r.at.tolist()] + [r.at for r in refused]
    assert whole.count(1) == 4 and 0 in whole
    "".join(id_ for r in rows.values() for id_ in r.ids).encode()
