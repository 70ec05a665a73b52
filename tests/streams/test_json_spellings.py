"""Requests as clients write them: names with any character, truth values by value, and refusals that name the thing."""

import gzip
import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.formats.json import JsonDecoder
from streams.formats.request_types import convert, request_decoders
from streams.formats.untyped import UntypedReader
from streams.wire.block import Block
from streams.wire.refusals import Refusal, Refused
from streams.wire.rows import Rows
from streams.wire.schema import RESERVED, Feature, FeatureSchema

ODD_NAMES = (
    'screen (")',
    "path\\to",
    "a\tb",
    "a\nb",
    "petal width (cm)",
    "a.b",
    "колонка",
    "it's `q` %s {x}",
    "\x1f",
    "`",
)


def decode(schema: FeatureSchema, *values: bytes) -> tuple[Rows | None, list[Refusal]]:
    rows, refused = JsonDecoder(lambda _: ("m", schema))(Block.of("requests", 0, values))
    return rows.get("m"), refused


def one(feature: Feature, value: Any) -> float | str:
    """Cell of a value, or the refusal's detail."""
    rows, refused = decode(FeatureSchema((feature,)), json.dumps({"features": {feature.name: value}}).encode())
    return refused[0].detail if rows is None else float(rows.matrix[0, 0])


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("flat", [False, True])
def test_a_feature_may_have_any_name(name: str, flat: bool) -> None:
    schema = FeatureSchema((Feature("amount"), Feature(name, required=True)))
    features = {"amount": 1, name: 2}
    request = features | {"id": "r"} if flat else {"id": "r", "features": features}
    wrong = msgspec.json.encode({"features": {"amount": 1, name: "x"}})
    missing = msgspec.json.encode({"features": {"amount": 1}})
    rows, refused = decode(schema, msgspec.json.encode(request), wrong, missing)
    assert rows is not None
    assert (rows.matrix.tolist(), rows.ids) == ([[1, 2]], ["r"])
    assert [(r.reason, r.field) for r in refused] == [
        ("wrong_type", f"$.features.{name}"),
        ("missing_field", f"$.features.{name}"),
    ]
    assert [r.names((name,))[0] for r in refused] == [name, name]


@given(st.text(min_size=1, max_size=5).filter(lambda name: name not in RESERVED))
def test_any_name_that_json_can_write(name: str) -> None:
    try:
        value = json.dumps({"features": {name: 0.5}}).encode()
        name.encode()
    except UnicodeEncodeError:  # Half a surrogate pair is in no table either.
        return
    rows, refused = decode(FeatureSchema((Feature(name),)), value)
    assert rows is not None and not refused and rows.matrix.tolist() == [[0.5]]


def test_avro_and_watched_records_find_odd_names_too() -> None:
    schema = FeatureSchema((Feature('a"b'),))
    assert convert(request_decoders(schema).features, {'a"b': 2.0}) is not None
    with pytest.raises(msgspec.ValidationError, match='a"b'):
        convert(request_decoders(schema).features, {'a"b': "x"})


@pytest.mark.parametrize("value", [True, 1, 1.0, "true", "True", "1", "1.0", "TRUE"])
def test_true_in_any_spelling(value: Any) -> None:
    assert one(Feature("b", "boolean"), value) == 1.0


@pytest.mark.parametrize("value", [False, 0, 0.0, -0.0, "false", "False", "0", "0.0"])
def test_false_in_any_spelling(value: Any) -> None:
    assert one(Feature("b", "boolean"), value) == 0.0


@pytest.mark.parametrize(
    ("value", "got"),
    [(2, "float"), (0.5, "float"), (-1, "float"), ("yes", "str"), ("", "str"), ([], "array"), ({}, "object")],
)
def test_what_is_no_truth_value_is_refused_as_none(value: Any, got: str) -> None:
    detail = one(Feature("b", "boolean"), value)
    assert isinstance(detail, str) and detail.startswith("Expected `bool | 0 | 1") and detail.endswith(f"got `{got}`")


@pytest.mark.parametrize(
    ("levels", "value", "code"),
    [
        (("true", "false"), True, 0),
        (("true", "false"), "1", 0),
        (("0", "1"), True, 1),
        (("0", "1"), "False", 0),
        (("16", "17"), 16.0, 0),
        (("16", "17"), "16.0", 0),
        (("16", "17"), 18, 2),
        (("07", "8"), "7", 2),
        (("07", "8"), 7, 2),
        (("07", "8"), "8.0", 1),
        (("0.1", "x"), 0.10000000149011612, 0),
        (("a", "b"), None, 3),
        (("1", "2", "3"), 1, 0),
    ],
)
def test_a_level_is_known_by_value(levels: tuple[str, ...], value: Any, code: int) -> None:
    assert one(Feature("c", "categorical", categories=levels), value) == code


def test_true_among_levels_that_are_no_truth_values_is_a_mistake() -> None:
    assert "got `bool`" in str(one(Feature("c", "categorical", categories=("a", "1")), True))


def test_true_and_one_are_different_levels_in_one_block() -> None:
    schema = FeatureSchema((Feature("c", "categorical", categories=("true", "1", "x")),))
    rows, _ = decode(schema, *(b'{"features":{"c":%s}}' % value for value in (b"1", b"true", b"1", b"true", b"1.0")))
    assert rows is not None and rows.matrix[:, 0].tolist() == [1, 0, 1, 0, 1]


def test_a_byte_order_mark_is_read_over() -> None:
    rows, refused = decode(FeatureSchema((Feature("x"),)), b'\xef\xbb\xbf{"features":{"x":1}}', b'{"x":2}')
    assert rows is not None and not refused and rows.matrix[:, 0].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b'{"features":{"x":NaN}}', "NaN is no JSON: write null"),
        (b'{"x":-Infinity}', "-Infinity is no JSON"),
        (b'{"x":[Infinity]}', "Infinity is no JSON"),
        (b'{"features":{"c":"\\ud83d"}}', "half a surrogate pair, \\ud83d"),
        (b'{"features":{"c":"\\ude00 x"}}', "half a surrogate pair, \\ude00"),
        (b'{"x":1}\n{"x":2}', "one message is one JSON object"),
        ('{"x":"ö"}'.encode("latin-1"), "not UTF-8"),
        ('{"x":1}'.encode("utf-16"), "UTF-16"),
        (gzip.compress(b'{"x":1}', mtime=0), "the value is gzip"),
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused_by_its_name(value: bytes, words: str) -> None:
    schema = FeatureSchema((Feature("x"), Feature("c", "categorical", categories=("a",))))
    rows, (refusal,) = decode(schema, value)
    assert rows is None and refusal.reason in ("undecodable", "wrong_type")
    assert words in refusal.detail or refusal.reason == "wrong_type"
    with pytest.raises(Refused) as refused:
        UntypedReader()(value)
    assert words in refused.value.args[2]


def test_a_pair_of_surrogates_is_a_character_and_a_text_may_say_nan() -> None:
    schema = FeatureSchema((Feature("c", "categorical", categories=("😀", "NaN")),))
    rows, refused = decode(schema, b'{"features":{"c":"\\ud83d\\ude00"}}', b'{"features":{"c":"NaN"}}')
    assert rows is not None and not refused and np.array_equal(rows.matrix[:, 0], [0, 1])
