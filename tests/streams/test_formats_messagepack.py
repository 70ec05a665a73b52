"""MessagePack against JSON: the same objects give the same rows and the same refusals, and no bytes stop a block."""

import datetime as dt
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.settings_schema import Score, WatchTopic
from streams.formats.decoder import Decoder
from streams.formats.envelope import REQUEST_BYTES_MAX
from streams.formats.json import JsonDecoder
from streams.formats.untyped import UntypedReader
from streams.wire.block import Block
from streams.wire.schema import Feature, FeatureSchema

ARRIVED_MS = 1_700_000_000_000
SCHEMA = FeatureSchema(
    (
        Feature("age", required=True),
        Feature("tenure"),
        Feature("city", "categorical", categories=("Rome", "16")),
        Feature("member", "boolean"),
    )
)
pack = msgspec.msgpack.encode


def only(model):
    return ("churn", SCHEMA) if model in (None, "churn") else None


def block(*values, headers=None):
    made = Block.of("requests", 3, values, first=1041, time=ARRIVED_MS)
    return made if headers is None else msgspec.structs.replace(made, headers=headers)


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text("aé1 .", max_size=5),
    st.sampled_from(["Rome", "16", 1, 0, True, "true", [1], {"a": 1}]),
)
_FEATURES = st.dictionaries(st.sampled_from([*SCHEMA.names, "other", "Age"]), _VALUES, max_size=5)
_REQUESTS = st.builds(
    lambda features, envelope, nested: {**envelope, **({"features": features} if nested else features)},
    _FEATURES,
    st.fixed_dictionaries({}, optional={"id": _VALUES, "ts": _VALUES, "model": _VALUES}),
    st.booleans(),
)


@given(st.lists(_REQUESTS, min_size=1, max_size=8))
def test_the_same_objects_are_the_same_rows_as_in_json(requests):
    """The law; of a request with several faults each format may name another one."""
    rows, refused = Decoder(only)(block(*map(pack, requests)))
    expected, refusals = JsonDecoder(only)(block(*map(msgspec.json.encode, requests)))
    assert sorted(refusal.at for refusal in refused) == sorted(refusal.at for refusal in refusals)
    assert rows.keys() == expected.keys()
    for model, found in rows.items():
        order, other = np.argsort(found.at), np.argsort(expected[model].at)  # JSON's fast path comes first
        assert np.array_equal(found.matrix[order], expected[model].matrix[other], equal_nan=True)
        assert found.ts[order].tolist() == expected[model].ts[other].tolist()
        assert [found.ids[n] for n in order] == [expected[model].ids[n] for n in other]


def test_a_moment_of_its_own_and_nan():
    moment = dt.datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=dt.UTC)
    rows, refused = Decoder(only)(block(pack({"age": 1.0, "ts": moment, "tenure": math.nan}), pack({"age": math.nan})))
    assert rows["churn"].ts.tolist() == [1_700_000_000_500]
    assert np.isnan(rows["churn"].matrix[0, 1])
    assert [(r.at, r.reason, r.field) for r in refused] == [(1, "missing_field", "$.age")]


@pytest.mark.parametrize(
    ("value", "reason", "field"),
    [
        (b"\xdf\xff\xff\xff\xff", "undecodable", "$"),
        (b"\x81\xa3age", "undecodable", "$"),
        (b"\x81\xa1\xff\x01", "undecodable", "$"),
        (pack({"age": 1}) + b"\0", "undecodable", "$"),
        (b"\x81\xa8features" + b"\x91" * 100_000, "undecodable", "$"),
        (b"\x81\x07\x01", "wrong_type", "$"),
        (b"\x82\xc0\x01\xa3age\x01", "wrong_type", "$"),
        (pack({"features": {b"age": 1}}), "wrong_type", "$.features"),
        (pack({"age": b"1"}), "wrong_type", "$.age"),
        (pack({"age": msgspec.msgpack.Ext(5, b"1")}), "wrong_type", "$.age"),
        (pack({"features": [1]}), "wrong_type", "$.features"),
        (pack({"age": 1, "model": 3}), "wrong_type", "$.model"),
        (pack({"age": 1, "model": "no"}), "unknown_model", "$.model"),
        (pack({"age": 1, "note": "x" * REQUEST_BYTES_MAX}), "oversize", "$"),
    ],
)
def test_what_is_refused_is_named_and_harms_no_other(value, reason, field):
    rows, refused = Decoder(only)(block(pack({"age": 7}), value, pack({"age": 8})))
    assert [(r.at, r.reason, r.field) for r in refused] == [(1, reason, field)]
    assert "unforeseen" not in refused[0].detail
    assert rows["churn"].at.tolist() == [0, 2]


@given(st.binary(max_size=200))
def test_no_bytes_are_unforeseen(value):
    rows, refused = Decoder(only, format="msgpack")(block(value))
    assert len(rows.get("churn", ())) + len(refused) == 1
    assert not any("unforeseen" in refusal.detail for refusal in refused)


def test_a_message_that_is_no_map_is_refused_where_the_format_is_fixed():
    _, refused = Decoder(only, format="msgpack")(block(pack([1]), pack(None), b""))
    assert [(r.reason, r.detail) for r in refused] == [
        ("wrong_type", "Expected `map`, got `list`"),
        ("wrong_type", "Expected `map`, got `NoneType`"),
        ("empty", "the record has no value"),
    ]


@pytest.mark.parametrize("named", [b"application/msgpack", b"application/vnd.msgpack; charset=binary", None])
def test_it_is_told_by_its_header_or_its_first_byte(named):
    headers = None if named is None else [[("content-type", named)], None]
    rows, refused = Decoder(only)(block(pack({"age": 41}), b'{"age": 42}', headers=headers))
    assert refused == [] and sorted(rows["churn"].matrix[:, 0].tolist()) == [41, 42]


def test_a_map_of_many_names_is_told_by_its_first_byte():
    many = {f"extra{n}": n for n in range(70_000 // 1000)} | {"age": 3}
    assert pack(many)[0] == 0xDE
    rows, _ = Decoder(only)(block(pack(many)))
    assert rows["churn"].matrix[0, 0] == 3


def test_watched_topics_may_be_in_it_and_settings_name_it():
    value = {"input": {"age": 41}, "score": 0.5}
    assert UntypedReader()(pack(value)) == UntypedReader("msgpack")(pack(value)) == value
    assert (
        Score(format="msgpack").format
        == WatchTopic(topic="t", model="m", score="s", format="msgpack").format
        == "msgpack"
    )
