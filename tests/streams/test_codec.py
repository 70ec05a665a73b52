"""Hand-made requests against what the codec promises: one row or one refusal a record, whatever the bytes."""

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.formats.envelope import AHEAD_MS_MAX, ID_CHARACTERS_MAX, REQUEST_BYTES_MAX
from streams.formats.json import JsonDecoder
from streams.wire.block import Block
from streams.wire.refusals import Refusal
from streams.wire.rows import Rows
from streams.wire.schema import Feature, FeatureSchema

ARRIVED_MS = 1_700_000_000_000

# An optional feature stands before a required one: the order is the matrix's and promises nothing else.
SCHEMA = FeatureSchema(
    (
        Feature("tenure"),
        Feature("age", required=True),
        Feature("city", "categorical", categories=("Rome", "16")),
        Feature("member", "boolean"),
    )
)
OTHER = FeatureSchema((Feature("price", required=True),))


def only(model: str | None) -> tuple[str, FeatureSchema] | None:
    return ("churn", SCHEMA) if model in (None, "churn") else None


def two(model: str | None) -> tuple[str, FeatureSchema] | None:
    return {"churn": ("churn", SCHEMA), "price": ("price", OTHER)}.get(model or "")


def two_with_default(model: str | None) -> tuple[str, FeatureSchema] | None:
    return two(model or "churn")


def decode(*values: bytes | None, schemas=only, headers=None) -> tuple[dict[str, Rows], list[Refusal]]:
    block = Block.of("requests", 3, values, first=1041, time=ARRIVED_MS)
    if headers is not None:
        block = msgspec.structs.replace(block, headers=headers)
    return JsonDecoder(schemas)(block)


def one_row(value: bytes) -> Rows:
    rows, refused = decode(value)
    assert refused == []
    return rows["churn"]


@pytest.mark.parametrize(
    ("value", "reason", "field"),
    [
        (None, "empty", "$"),
        (b"", "empty", "$"),
        (b" " * (REQUEST_BYTES_MAX + 1), "oversize", "$"),
        (b"{", "undecodable", "$"),
        (b"\xff\xfe", "undecodable", "$"),
        (b'{"age": NaN}', "undecodable", "$"),
        (b'{"age": 1, "later": ' + b"[" * 100_000, "undecodable", "$"),
        (b"[]", "wrong_type", "$"),
        (b'{"age": "41"}', "wrong_type", "$.age"),
        (b'{"features": {"age": "41"}}', "wrong_type", "$.features.age"),
        (b'{"features": null, "age": 41}', "wrong_type", "$.features"),
        (b'{"age": 1e400}', "wrong_type", "$.age"),
        (b'{"age": null}', "wrong_type", "$.age"),
        (b'{"age": 41, "member": 2}', "wrong_type", "$.member"),
        (b'{"age": 41, "city": true}', "wrong_type", "$.city"),
        (b'{"age": 41, "model": 7}', "wrong_type", "$.model"),
        (b"{}", "missing_field", "$.age"),
        (b'{"features": {}}', "missing_field", "$.features.age"),
        (b'{"age": 41, "model": "nobody"}', "unknown_model", "$.model"),
        (b'{"model": "nobody", "age": "not even a number"}', "unknown_model", "$.model"),
        (b'{"age": 41, "ts": "yesterday"}', "impossible_timestamp", "$.ts"),
        (b'{"age": 41, "ts": 1700000000}', "impossible_timestamp", "$.ts"),
        (b'{"age": 41, "ts": 1700000000000.5}', "impossible_timestamp", "$.ts"),
        (b'{"age": 41, "ts": %d}' % (ARRIVED_MS + AHEAD_MS_MAX + 1), "impossible_timestamp", "$.ts"),
        (b'{"age": 41, "id": ""}', "impossible_id", "$.id"),
        (b'{"age": 41, "id": "%s"}' % (b"x" * (ID_CHARACTERS_MAX + 1)), "impossible_id", "$.id"),
    ],
    ids=lambda v: repr(v[:30]) if isinstance(v, bytes) else None,
)
def test_a_refusal_names_its_reason_and_field(value, reason, field):
    rows, refused = decode(b'{"age": 1}', value)
    assert [(r.at, r.reason, r.field) for r in refused] == [(1, reason, field)]
    assert refused[0].detail
    assert rows["churn"].at.tolist() == [0]  # its neighbour is scored


def test_nested_and_flat_are_the_same_request():
    features = {"tenure": 2.5, "age": 41, "city": "16", "member": True}
    nested = one_row(json.dumps({"id": "a", "ts": ARRIVED_MS, "features": features}).encode())
    flat = one_row(json.dumps({"id": "a", "ts": ARRIVED_MS, **features}).encode())
    assert nested.matrix.tolist() == flat.matrix.tolist() == [[2.5, 41.0, 1.0, 1.0]]
    assert nested.ids == flat.ids == ["a"]
    assert nested.ts.tolist() == flat.ts.tolist() == [ARRIVED_MS]


@pytest.mark.parametrize("stray", [b'"x"', b"null", b"[1]", b'{"age": "x"}'])
def test_beside_an_object_of_features_the_top_level_is_left_alone(stray):
    rows = one_row(b'{"id": "a", "age": %s, "features": {"age": 41}}' % stray)
    assert (rows.ids, rows.matrix[0, 1]) == (["a"], 41.0)
    _, refused = decode(b'{"age": %s, "features": {"age": "y"}}' % stray)
    assert [(r.reason, r.field) for r in refused] == [("wrong_type", "$.features.age")]
    _, refused = decode(b'{"age": %s, "features": {"age": 41}, "ts": []}' % stray)
    assert [(r.reason, r.field) for r in refused] == [("wrong_type", "$.ts")]


@pytest.mark.parametrize("value", [b'{"age": 41}', b'{"age": 41, "tenure": null, "city": null, "member": null}'])
def test_absent_and_null_are_missing(value):
    tenure, age, city, member = one_row(value).matrix[0].tolist()
    assert math.isnan(tenure) and math.isnan(member)
    assert (age, city) == (41.0, SCHEMA["city"].null_code)


def test_unknown_levels_keep_their_text_and_numbers_have_one_spelling():
    rows, refused = decode(*(b'{"age": 1, "city": %s}' % c for c in (b'"Oslo"', b"16.0", b"16", b"0.5", b'"Oslo"')))
    assert refused == []
    assert rows["churn"].matrix[:, 2].tolist() == [2.0, 1.0, 1.0, 2.0, 2.0]
    assert rows["churn"].unseen == {2: {0: "Oslo", 3: "0.5", 4: "Oslo"}}


def test_what_is_absent_comes_from_kafka_and_what_is_unknown_is_left_alone():
    rows = one_row(b'{"age": 1, "colour": {"r": 3}}')
    assert rows.ids == ["requests/3/1041"]
    assert rows.ts.tolist() == [ARRIVED_MS]


def test_times_are_milliseconds_or_rfc_3339_and_naive_is_utc():
    texts = (b'"2023-11-14T22:13:20Z"', b'"2023-11-14T23:13:20+01:00"', b'"2023-11-14T22:13:20"', b"1700000000000")
    rows, refused = decode(*(b'{"age": 1, "ts": %s}' % text for text in texts))
    assert refused == []
    assert set(rows["churn"].ts.tolist()) == {ARRIVED_MS}


def test_an_integer_id_is_its_digits():
    assert one_row(b'{"age": 1, "id": 17}').ids == ["17"]


def test_beyond_float32_is_infinity():
    assert one_row(b'{"age": -1e300}').matrix[0, 1] == -math.inf


def test_the_header_names_the_model_and_rules_over_the_body():
    headers = [[("model", b"price")], [("traceparent", b"00"), ("model", b"price")], [("model", b"nobody")], None]
    values = [b'{"price": 3}', b'{"model": "churn", "price": 4}', b'{"price": 5}', b'{"age": 6}']
    rows, refused = decode(*values, schemas=two_with_default, headers=headers)
    assert rows["price"].matrix.tolist() == [[3.0], [4.0]]
    assert rows["churn"].matrix[:, 1].tolist() == [6.0]
    assert [(r.at, r.reason) for r in refused] == [(2, "unknown_model")]


def test_without_a_default_the_body_names_the_model():
    values = [
        b'{"model": "price", "price": 3}',
        b'{"model": "churn", "age": 4}',
        b'{"age": 5}',
        b'{"model": "x"}',
        b"{",
    ]
    rows, refused = decode(*values, schemas=two)
    assert rows["price"].matrix.tolist() == [[3.0]]
    assert rows["churn"].matrix[:, 1].tolist() == [4.0]
    assert [(r.at, r.reason) for r in refused] == [(2, "unknown_model"), (3, "unknown_model"), (4, "undecodable")]
    assert refused[0].detail == "no model is named"


def test_beside_a_default_another_models_request_is_read_by_its_own_schema():
    values = [b'{"age": 1}', b'{"model": "price", "price": 3}', b'{"model": "price", "age": 1, "price": "x"}']
    rows, refused = decode(*values, schemas=two_with_default)
    assert rows["churn"].at.tolist() == [0]
    assert rows["price"].matrix.tolist() == [[3.0]]
    assert [(r.at, r.reason, r.field) for r in refused] == [(2, "wrong_type", "$.price")]


PARTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["id", "ts", "model", "features", *SCHEMA.names])
REQUESTS = st.dictionaries(NAMES, PARTS | st.dictionaries(NAMES, PARTS, max_size=4), max_size=6)
ANYTHING = (
    st.none()
    | st.binary(max_size=60)
    | PARTS.map(json.dumps).map(str.encode)
    | REQUESTS.map(json.dumps).map(str.encode)
)


@given(st.lists(ANYTHING, max_size=8), st.sampled_from([only, two, two_with_default]))
def test_any_bytes_give_exactly_one_row_or_one_refusal_a_record(values, schemas):
    rows, refused = decode(*values, schemas=schemas)
    seen = [at for r in rows.values() for at in r.at.tolist()] + [r.at for r in refused]
    assert sorted(seen) == list(range(len(values)))
    for r in rows.values():
        assert r.matrix.shape == (len(r), len(r.schema))
        "".join(r.ids).encode()  # what is published again must be text


ODD = [
    b'{"age": 1, "id": 7}',
    b'{"features": {"age": 2, "city": "Oslo"}}',
    b'{"age": 3, "ts": "2023-11-14T22:13:20Z"}',
    b'{"age": 4, "model": "churn"}',
    b'{"age": 4, "model": ""}',
    b'{"age": 5, "ts": 5}',
    b'{"age": 6, "id": ""}',
    b'{"tenure": 7}',
    b'{"model": "price", "price": 8}',
    b'{"age": "9"}',
    b'{"age": 10, "features": {"age": 11}}',
]
HEADERS = [None, [("traceparent", b"00")], [("ce_id", b"event"), ("ce_time", b"2023-11-14T22:13:19Z")]]


@given(st.lists(st.tuples(st.sampled_from([b'{"age": 1}', *ODD]), st.sampled_from(HEADERS)), min_size=1, max_size=30))
def test_a_block_is_read_as_its_records_are_one_by_one(records):
    values, headers = [value for value, _ in records], [own for _, own in records]
    rows, refused = decode(*values, schemas=two_with_default, headers=headers)
    block = msgspec.structs.replace(Block.of("requests", 3, values, 1041, ARRIVED_MS), headers=headers)
    alone = [JsonDecoder(two_with_default)(block[n : n + 1]) for n in range(len(block))]
    assert [r.at for r in refused] == [n for n, (_, own) in enumerate(alone) if own]
    assert [(r.reason, r.field) for r in refused] == [(r.reason, r.field) for _, own in alone for r in own]
    for model, found in rows.items():
        one_by_one = [own[model] for own, _ in alone if model in own]
        assert found.at.tolist() == [n for n, (own, _) in enumerate(alone) if model in own]
        assert found.ids == [id_ for one in one_by_one for id_ in one.ids]
        assert found.ts.tolist() == [ts for one in one_by_one for ts in one.ts.tolist()]
        assert repr(found.matrix.tolist()) == repr([row for one in one_by_one for row in one.matrix.tolist()])
        assert found.unseen.get(2, {}) == {n: "Oslo" for n, one in enumerate(one_by_one) if one.unseen}
