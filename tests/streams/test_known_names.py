"""A request that names no feature of its model is refused in every format, by the names that came."""

import io
import json

import numpy as np
import pyarrow as pa
import pytest

from streams.formats.decoder import Decoder
from streams.wire.block import Block
from streams.wire.schema import Feature, FeatureSchema

OPTIONAL = FeatureSchema(
    (Feature("age"), Feature("city", "categorical", categories=("Rome",)), Feature("vip", "boolean"))
)
REQUIRED = FeatureSchema((Feature("age", required=True), *OPTIONAL.features[1:]))
SCHEMAS = pytest.mark.parametrize("schema", [OPTIONAL, REQUIRED], ids=["optional", "required"])


def flat(features):
    return json.dumps({"id": "a", "ts": 1_700_000_000_000, **features}).encode()


def nested(features):
    return json.dumps({"id": "a", "note": 7, "features": features}).encode()


def arrow(features):
    sink = io.BytesIO()
    batch = pa.RecordBatch.from_pylist([{"id": "a", **features}])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


class Registry:
    """Writers' schemas by number: flat ones of the features that a record has."""

    def __init__(self):
        self.known = {}

    def schema(self, number):
        return self.known[number]

    def written(self, features, wrap=False):
        from fastavro import parse_schema, schemaless_writer

        kinds = {int: "double", float: "double", str: "string", bool: "boolean", type(None): "null"}
        fields = [{"name": name, "type": kinds[type(value)]} for name, value in features.items()]
        record = {"type": "record", "name": "Request", "fields": fields}
        if wrap:
            inner = {"name": "features", "type": {**record, "name": "Features"}}
            record, features = {**record, "fields": [inner]}, {"features": features}
        number = len(self.known)
        self.known[number] = parse_schema(record)
        out = io.BytesIO()
        schemaless_writer(out, self.known[number], features)
        return bytes([0]) + number.to_bytes(4, "big") + out.getvalue()


def decode(schema, *messages):
    """Rows and refusals of messages, each a format and its features."""
    registry = Registry()
    ways = {
        "flat": flat,
        "nested": nested,
        "arrow": arrow,
        "avro": registry.written,
        "avro nested": lambda features: registry.written(features, wrap=True),
    }
    decoder = Decoder(lambda model: ("m", schema) if model in (None, "m") else None, registry=registry)
    values = [ways[way](features) for way, features in messages]
    n = len(values)
    block = Block("requests", 0, range(n), [1_700_000_000_000] * n, [None] * n, values, [None] * n)
    rows, refused = decoder(block)
    assert sum(map(len, rows.values())) + len(refused) == len(messages)
    return rows.get("m"), refused


WAYS = ["flat", "nested", "arrow", "avro", "avro nested"]


@SCHEMAS
@pytest.mark.parametrize("way", WAYS)
def test_names_in_upper_case_are_named_as_such(schema, way):
    rows, [refusal] = decode(schema, (way, {"AGE": 41.0, "CITY": "Rome", "VIP": True}))
    assert rows is None
    assert refusal.reason == "no_known_feature"
    assert refusal.field == ("$.features" if "nested" in way else "$")
    assert "it has 'AGE', 'CITY', 'VIP', and the model takes 'age', 'city', 'vip'" in refusal.detail
    assert "case-sensitive: 'AGE' is 'age', 'CITY' is 'city', 'VIP' is 'vip'" in refusal.detail


@SCHEMAS
@pytest.mark.parametrize("way", WAYS)
def test_rows_of_another_model_are_refused(schema, way):
    _, [refusal] = decode(schema, (way, {"wind_speed": 4.0, "citty": "Oslo", "humid": 0.5}))
    assert refusal.reason == "no_known_feature"
    assert "'wind_speed', 'citty', 'humid'" in refusal.detail
    assert "did you mean 'city' by 'citty'?" in refusal.detail


@pytest.mark.parametrize("way", WAYS)
def test_one_known_name_is_enough_where_none_is_required(way):
    rows, refused = decode(OPTIONAL, (way, {"vip": None, "AGE": 41.0}))
    assert refused == [] and np.isnan(rows.matrix[0, 0])


@pytest.mark.parametrize("way", WAYS)
def test_a_required_one_that_is_missing_is_named_with_what_stands_instead(way):
    _, [refusal] = decode(REQUIRED, (way, {"Age": 41.0, "city": "Rome"}))
    assert refusal.reason == "missing_field" and refusal.field.endswith(".age")
    assert "names are case-sensitive: 'Age' is 'age'" in refusal.detail


@pytest.mark.parametrize("way", ["flat", "nested"])
def test_a_request_without_anything(way):
    _, [refusal] = decode(OPTIONAL, (way, {}))
    assert (refusal.reason, refusal.detail) == (
        "no_known_feature",
        "it holds no feature; the model takes 'age', 'city', 'vip'",
    )
    _, [refusal] = decode(REQUIRED, (way, {}))
    assert refusal.reason == "missing_field"


def test_good_neighbours_are_untouched_and_keep_their_order():
    good = [{"age": 1.0}, {"city": "Rome"}, {"vip": None}, {"age": None, "city": None, "vip": None}]
    messages = [("flat", good[0]), ("flat", {"AGE": 2.0}), ("nested", good[1]), ("nested", {"x": 1}), ("flat", {})]
    messages += [("flat", good[2]), ("nested", good[3])]
    rows, refused = decode(OPTIONAL, *messages)
    assert rows.at.tolist() == [0, 2, 5, 6]
    assert [(one.at, one.reason, one.model) for one in refused] == [(n, "no_known_feature", "m") for n in (1, 3, 4)]
    assert rows.matrix[:2, :2].tolist()[0][0] == 1.0 and rows.matrix[1, 1] == 0


def test_many_and_long_names_are_cut():
    _, [refusal] = decode(OPTIONAL, ("flat", {f"{'x' * 500}{n}": n for n in range(400)}))
    assert "and 396 more" in refusal.detail and len(refusal.detail) < 1_000
