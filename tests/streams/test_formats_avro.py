"""Avro in Confluent's frame, against a registry that is an HTTP server on loopback; JSON is the oracle for the rows."""

import base64
import decimal
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import fastavro
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.formats.avro import AvroReader
from streams.formats.decoder import Decoder
from streams.formats.json import JsonDecoder
from streams.formats.records import RecordDecoder
from streams.formats.schema_registry import RegistryAway, SchemaRegistry, UnknownSchema
from streams.wire.block import Block
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


def only(model):
    return ("churn", SCHEMA) if model in (None, "churn") else None


def record(*fields, name="Request"):
    return {"type": "record", "name": name, "fields": [{"name": n, "type": t} for n, t in fields]}


def maybe(kind):
    return ["null", kind]


FLAT = record(
    ("age", "int"),
    ("tenure", maybe("double")),
    ("city", maybe({"type": "enum", "name": "City", "symbols": ["Rome", "Oslo"]})),
    ("member", maybe("boolean")),
    ("extra", {"type": "array", "items": "string"}),
)
NESTED = record(
    ("id", "string"),
    ("ts", {"type": "long", "logicalType": "timestamp-millis"}),
    ("age", "string"),  # beside an object of features, the top level is left alone
    ("features", record(("age", "float"), ("city", ["null", "string", "long"]), name="Features")),
)
MAP = record(("model", "string"), ("features", {"type": "map", "values": "double"}))


class Double:
    """A registry: schemas by number and by subject, and whatever else it is told to answer."""

    def __init__(self):
        self.schemas, self.subjects, self.asked, self.broken = {}, {}, [], None
        double = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                double.asked.append(self.path)
                status, said = double.answer(self.path, self.headers.get("authorization"))
                body = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path, authorization):
        if self.broken is not None:
            return self.broken
        if path == "/schemas/ids/401":
            wanted = "Basic " + base64.b64encode(b"ann:s3cret").decode()
            return (200, {"schema": json.dumps(FLAT)}) if authorization == wanted else (401, {"error_code": 401})
        table, key = (self.schemas, int(path[13:])) if path.startswith("/schemas/ids/") else (self.subjects, path)
        return (200, table[key]) if key in table else (404, {"error_code": 40403, "message": "Schema not found"})

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def double():
    made = Double()
    for number, schema in ((1, FLAT), (2, NESTED), (3, MAP)):
        made.schemas[number] = {"schema": json.dumps(schema)}
    yield made
    made.close()


def framed(number, schema, value):
    out = io.BytesIO(b"\0" + number.to_bytes(4))
    out.seek(5)
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def block(*values):
    return Block.of("requests", 3, values, first=1041, time=ARRIVED_MS)


def read(double, *values):
    rows, refused = Decoder(only, registry=SchemaRegistry(double.url))(block(*values))
    return rows.get("churn"), refused


def test_a_record_is_its_request_as_json(double):
    flat = {"age": 41, "tenure": 2.5, "city": "Oslo", "member": True, "extra": ["x"]}
    bare = {"age": -1, "tenure": None, "city": None, "member": None, "extra": []}
    nested = {"id": "a", "ts": ARRIVED_MS - 7, "age": "young", "features": {"age": 7.5, "city": 16}}
    sent = [(1, FLAT, flat), (1, FLAT, bare), (2, NESTED, nested)]
    rows, refused = read(double, *(framed(*one) for one in sent), b'{"age": 1}')
    expected, _ = JsonDecoder(only)(block(*(json.dumps(value).encode() for _, _, value in sent), b'{"age": 1}'))
    assert refused == []
    assert np.array_equal(rows.matrix, expected["churn"].matrix, equal_nan=True)
    assert (rows.ids, rows.unseen) == (expected["churn"].ids, {2: {0: "Oslo"}})
    assert rows.ts.tolist() == expected["churn"].ts.tolist() == [ARRIVED_MS, ARRIVED_MS, ARRIVED_MS - 7, ARRIVED_MS]
    assert double.asked == ["/schemas/ids/1", "/schemas/ids/2"]  # each once


def test_a_writer_may_change_its_schema_as_long_as_the_model_is_served(double):
    newer = record(("age", "double"), ("colour", "string"))  # other type, another field, optional ones gone
    without = record(("tenure", "double"))
    double.schemas |= {8: {"schema": json.dumps(newer)}, 9: {"schema": json.dumps(without)}}
    rows, refused = read(double, framed(8, newer, {"age": 41, "colour": "red"}), framed(9, without, {"tenure": 3}))
    assert rows.matrix[0, 1] == 41 and np.isnan(rows.matrix[0, 0])
    assert [(r.at, r.reason, r.field) for r in refused] == [(1, "missing_field", "$.age")]


@pytest.mark.parametrize(
    ("value", "reason", "field"),
    [
        (framed(3, MAP, {"model": "nobody", "features": {}}), "unknown_model", "$.model"),
        (framed(3, MAP, {"model": "churn", "features": {}}), "missing_field", "$.features.age"),
        (framed(3, MAP, {"model": "churn", "features": {"age": float("nan")}}), "missing_field", "$.age"),
        (framed(3, MAP, {"model": "churn", "features": {"age": 1, "member": 2}}), "wrong_type", "$.features.member"),
        (b"\0\0\0\0", "undecodable", "$"),
        (b"\0\0\0\0\1", "undecodable", "$"),
        (framed(3, MAP, {"model": "churn", "features": {"age": 1}}) + b"x", "undecodable", "$"),
        (b"\0\0\0\0\1" + b"\xff" * 40, "undecodable", "$"),
        (b"\0\0\0\0\7", "unknown_schema", "$"),
        (b"\0\0\0\0\5\2", "wrong_type", "$"),
    ],
)
def test_a_refusal_names_its_reason_and_field(double, value, reason, field):
    double.schemas[5] = {"schema": '"int"'}
    rows, refused = read(double, b'{"age": 1}', value)
    assert [(r.at, r.reason, r.field) for r in refused] == [(1, reason, field)] and refused[0].detail
    assert rows.at.tolist() == [0]


def test_an_unknown_number_is_asked_once_a_block_and_may_be_known_later(double):
    decode = Decoder(only, registry=SchemaRegistry(double.url))
    value = framed(8, FLAT, {"age": 1, "tenure": None, "city": None, "member": None, "extra": []})
    _, refused = decode(block(value, value, value))
    assert [r.reason for r in refused] == ["unknown_schema"] * 3 and "Schema not found" in refused[0].detail
    assert double.asked == ["/schemas/ids/8"]
    double.schemas[8] = {"schema": json.dumps(FLAT)}
    rows, refused = decode(block(value))
    assert len(rows["churn"]) == 1 and refused == []


@pytest.mark.parametrize(
    "broken",
    [(500, b"oops"), (404, b"<html>no such page</html>"), (404, {"error_code": 404}), (200, b"hello"), (302, b"")],
)
def test_a_registry_that_does_not_answer_as_one_is_waited_for(double, broken):
    decode = Decoder(only, registry=SchemaRegistry(double.url))
    value = framed(2, NESTED, {"id": "a", "ts": ARRIVED_MS, "age": "", "features": {"age": 7.5, "city": None}})
    double.broken = broken
    with pytest.raises(RegistryAway, match="schema"):
        decode(block(b'{"age": 1}', value))
    double.broken = None
    rows, refused = decode(block(b'{"age": 1}', value))
    assert len(rows["churn"]) == 2 and refused == []


def test_a_registry_that_is_gone_is_waited_for_and_what_is_known_needs_none(double):
    registry = SchemaRegistry(double.url)
    decode = Decoder(only, registry=registry)
    registry.schema(1)
    double.close()
    value = framed(1, FLAT, {"age": 1, "tenure": None, "city": None, "member": None, "extra": []})
    assert len(decode(block(value))[0]["churn"]) == 1
    with pytest.raises(RegistryAway):
        decode(block(value, b"\0\0\0\0\2\2"))


def test_a_registry_is_asked_whether_it_is_there(double):
    registry = SchemaRegistry(double.url)
    for answer in (None, (404, b"no such page"), (401, b"who are you")):
        double.broken = answer
        registry.ask()
    double.broken = (503, b"")
    with pytest.raises(RegistryAway, match=f"schema registry {double.url} answers 503"):
        registry.ask()
    double.close()
    with pytest.raises(RegistryAway, match=f"schema registry {double.url}: "):
        registry.ask()


@pytest.mark.parametrize("answer", [(503, b"out of order"), (200, b"no registry"), None], ids=["503", "200", "none"])
def test_messages_name_a_registry_without_the_secrets_in_its_address(double, answer):
    host = double.url.removeprefix("http://")
    registry = SchemaRegistry(f"http://me:PLANTED@{host}?token=PLANTED")
    double.broken = answer
    if answer is None:
        double.close()
    with pytest.raises(RegistryAway) as told:
        registry.schema(7)
    assert f"http://me:***@{host}?token=***" in str(told.value) and "PLANTED" not in str(told.value)


def test_the_password_is_read_when_asked_and_a_wrong_one_is_no_dead_letter(double):
    secret = ["wrong"]
    registry = SchemaRegistry(double.url, "ann", lambda: secret[0])
    with pytest.raises(RegistryAway, match="401"):
        registry.schema(401)
    secret[0] = "s3cret"
    assert registry.schema(401)["name"] == "Request"


def test_schemas_may_refer_to_others_and_only_avro_is_read(double):
    city, place = (
        {"type": "enum", "name": "org.City", "symbols": ["Rome"]},
        record(("city", "org.City"), name="org.Place"),
    )
    whole = record(("age", "int"), ("features", "org.Place"))
    to_city = [{"name": "org.City", "subject": "org/city", "version": 2}]
    double.subjects["/subjects/org%2Fcity/versions/2"] = {"schema": json.dumps(city)}
    double.subjects["/subjects/place/versions/1"] = {"schema": json.dumps(place), "references": to_city}
    refers = [{"name": "org.Place", "subject": "place", "version": 1}, *to_city]
    double.schemas[8] = {"schema": json.dumps(whole), "references": refers}
    double.schemas[9] = {"schema": "syntax = 'proto3';", "schemaType": "PROTOBUF"}
    double.schemas[10] = {"schema": '{"type": "nonsense"}'}
    registry = SchemaRegistry(double.url + "/")
    written = fastavro.schemaless_reader(io.BytesIO(b"\x52\x00"), registry.schema(8), None)
    assert written == {"age": 41, "features": {"city": "Rome"}}
    for number, said in ((9, "PROTOBUF"), (10, "cannot be used")):
        with pytest.raises(UnknownSchema, match=said):
            registry.schema(number)


class Known:
    """A registry that knows all by heart."""

    def schema(self, number):
        return {1: FLAT_PARSED, 3: MAP_PARSED}[number % 2 * 2 + 1]


FLAT_PARSED, MAP_PARSED = fastavro.parse_schema(FLAT), fastavro.parse_schema(MAP)
GOOD = framed(1, FLAT, {"age": 41, "tenure": 2.5, "city": "Oslo", "member": True, "extra": ["x", "y"]})


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_any_bytes_give_exactly_one_row_or_one_refusal_a_record(tails, at, byte):
    spoiled = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    values = [*(b"\0\0\0\0" + tail for tail in tails), spoiled, GOOD]
    rows, refused = Decoder(only, format="avro", registry=Known())(block(*values))
    seen = [n for r in rows.values() for n in r.at.tolist()] + [r.at for r in refused]
    assert sorted(seen) == list(range(len(values)))


def test_headers_name_the_model_and_give_what_the_body_does_not(double):
    event = [("model", b"nobody")], [("ce_id", b"e-1"), ("ce_time", b"2023-11-14T22:13:19Z")]
    value = framed(1, FLAT, {"age": 1, "tenure": None, "city": None, "member": None, "extra": []})
    asked = msgspec.structs.replace(block(value, value), headers=list(event))
    rows, refused = Decoder(only, registry=SchemaRegistry(double.url))(asked)
    assert rows["churn"].ids == ["e-1"] and rows["churn"].ts.tolist() == [ARRIVED_MS - 1000]
    assert [(r.at, r.reason) for r in refused] == [(0, "unknown_model")]


def test_logical_types_are_what_json_would_say():
    fields = [
        ("age", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
        ("city", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
        ("member", "float"),
        ("tenure", "float"),
    ]
    wrote = fastavro.parse_schema(record(*fields))
    sink = io.BytesIO(bytes(5))
    sink.seek(5)
    row = {"age": decimal.Decimal("41.25"), "city": decimal.Decimal("16.00"), "member": 1.0, "tenure": float("nan")}
    fastavro.schemaless_writer(sink, wrote, row)
    registry = type("Registry", (), {"schema": lambda self, number: wrote})()
    rows, refused = RecordDecoder(only, AvroReader(registry))(Block.of("requests", 0, [sink.getvalue()]))
    assert not refused
    np.testing.assert_array_equal(rows["churn"].matrix, np.array([[np.nan, 41.25, 1, 1]], np.float32))
