"""The place at fault, found by us, against the sentence of msgspec's that names it: the oracle is parsed here alone."""

import json
import random
import re

import msgspec
import pytest

from streams.formats.misfit import misfit
from streams.formats.record_parts import JSON, OBJECTS
from streams.formats.request_types import convert, request_decoders
from streams.wire.records import CountsMessage, Idle, LabelSums, MinuteCounts, PartialCounts, Prediction, Report
from streams.wire.refusals import KINDS
from streams.wire.schema import Feature, FeatureSchema

AT = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
MISSING = re.compile(r"missing required field `(?P<name>.*)`", re.DOTALL)
GOT = re.compile(r"got `(\w+)`$")


def by_sentence(error: msgspec.ValidationError) -> tuple[tuple[str, str, str], str]:
    """Reason, field, detail, and what stood there, as msgspec's sentence has them."""
    match = AT.match(str(error))
    what, path = match["what"], match["path"] or "$"
    if missing := MISSING.search(what):
        return ("missing_field", f"{path}.{missing['name']}", what), ""
    if what.startswith("Invalid enum value"):
        what = "Expected `bool | 0 | 1`, got `str`"
    elif what.startswith(("Expected `float` <=", "Expected `float` >=", "Expected `float` that's")):
        what = "Expected `bool | 0 | 1`, got `float`"
    else:
        what = what.replace("Expected `bool | float | str", "Expected `bool | 0 | 1")
    got = GOT.search(what)
    return ("wrong_type", path, what), got[1] if got else ""


def by_parts(reader, value, error, form):
    refused = misfit(reader, value, error, form)
    return refused.args, refused.got if refused.args[0] == "wrong_type" else ""


REQUESTS = FeatureSchema(
    (
        Feature("age", required=True),
        Feature("tenure"),
        Feature("city", "categorical", categories=("a", "1", "true")),
        Feature("member", "boolean"),
        Feature("adult", "boolean", required=True),
        Feature("zone", "categorical", required=True, categories=("x",)),
    )
)
VALUES = [
    None,
    True,
    False,
    0,
    1,
    2,
    -1,
    0.5,
    1.0,
    1e300,
    "x",
    "true",
    "1",
    "",
    [],
    [1],
    {},
    {"a": 1},
    10**30,
    -(10**19),
]
SOUND = {"age": 1, "adult": True, "zone": "x"}


def request(rng: random.Random) -> tuple[dict, bool]:
    """A request with up to three strange values and perhaps one name less, in any order; whether it is nested."""
    fields = dict(SOUND)
    for name in rng.sample([*REQUESTS.names, "id", "ts", "model", "other"], rng.randint(0, 3)):
        fields[name] = rng.choice(VALUES)
    for name in rng.sample(list(SOUND), rng.randint(0, 1)):
        fields.pop(name, None)
    items = list(fields.items())
    rng.shuffle(items)
    fields = dict(items)
    if rng.random() < 0.6:
        return fields, False
    features = {name: fields.pop(name) for name in list(fields) if name in REQUESTS.names}
    return {**fields, "features": features if rng.random() < 0.9 else rng.choice(VALUES)}, True


@pytest.mark.parametrize("seed", range(8))
def test_the_place_of_a_request_is_the_one_that_the_decoder_names(seed):
    rng, decoders, compared = random.Random(seed), request_decoders(REQUESTS), 0
    for _ in range(400):
        fields, nested = request(rng)
        reader = decoders.nested if nested and rng.random() < 0.5 else decoders.either
        written = json.dumps(fields).encode()
        for form, value, read in (
            (JSON, written, reader.decode),
            (OBJECTS, fields, lambda value, reader=reader: convert(reader, value)),
        ):
            try:
                read(value)
            except msgspec.ValidationError as error:
                assert by_parts(reader, value, error, form) == by_sentence(error), value
                compared += 1
    assert compared > 200


REPORT = {
    "model": "m", "version": "v1", "window_start": 0, "window_end": 1, "rows": 3, "reference": "", "evidence": 1.0,
    "budget": 9.0, "performance": [{"metric": "auc"}],
    "columns": [
        {"name": "x", "role": "feature", "kind": "numeric", "n": 3, "statistic": "ks", "effect": 0.1, "effect_low": 0.0,
         "effect_high": 0.2, "tolerance": 0.1, "evidence": 1.0, "drifted": False}
    ] * 2,
}  # fmt: skip

PREDICTION = {"id": "a", "model": "m", "version": "v", "ts": 0, "score": 1, "prediction": ""}


@pytest.mark.parametrize(
    ("kind", "record", "field"),
    [
        (Report, REPORT | {"rows": "3"}, "$.rows"),
        (Report, REPORT | {"columns": [REPORT["columns"][0], REPORT["columns"][0] | {"ks": "x"}]}, "$.columns[1].ks"),
        (Report, REPORT | {"columns": [{"name": "x"}]}, "$.columns[0].role"),
        (Report, REPORT | {"columns": 3}, "$.columns"),
        (Report, REPORT | {"partial": 3}, "$.partial"),
        (Report, [], "$"),
        (Report, {}, "$.model"),
        (Prediction, PREDICTION | {"scores": {"a": ""}}, "$.scores[...]"),
    ],
)  # fmt: skip
def test_the_place_in_a_record_of_ours(kind, record, field):
    reader, value = msgspec.json.Decoder(kind), json.dumps(record).encode()
    with pytest.raises(msgspec.ValidationError) as error:
        reader.decode(value)
    assert by_parts(reader, value, error.value, JSON)[0] == by_sentence(error.value)[0]
    assert by_parts(reader, value, error.value, JSON)[0][1] == field


COUNTS = PartialCounts(
    model="m", version="v", reference="r", topic="t", partition=0, first=0, last=1, partitions=1, watermark_ms=None,
    minutes=[MinuteCounts(0, "", False, 1, b"", b"", b"")],
)  # fmt: skip
SUMS = LabelSums(
    model="m", version="v", reference="r", segment="", minute_ms=0, cells=b"", topic="t", partition=0, first=0, last=1
)


@pytest.mark.parametrize(
    ("message", "change", "field"),
    [
        (COUNTS, {"last": "1"}, "$.last"),
        (COUNTS, {"minutes": [[0, "", False, "1", b"", b"", b""]]}, "$.minutes[0][3]"),
        (COUNTS, {"type": None}, "$.type"),
        (SUMS, {"faults": {"a": "b"}}, "$.faults[...]"),
        (Idle(model="m", topic="t", partition=0, partitions=1), {"asleep": 2}, "$.asleep"),
    ],
)
def test_the_place_in_a_message_of_counts(message, change, field):
    reader = msgspec.msgpack.Decoder(CountsMessage)
    plain = msgspec.msgpack.decode(msgspec.msgpack.encode(message)) | change
    plain = {name: value for name, value in plain.items() if value is not None or name != "type"}
    with pytest.raises(msgspec.ValidationError) as error:
        reader.decode(msgspec.msgpack.encode(plain))
    assert by_parts(reader, plain, error.value, OBJECTS)[0] == by_sentence(error.value)[0]
    assert by_sentence(error.value)[0][1] == field


def test_a_message_of_no_known_type_is_refused_at_its_type():
    reader, plain = msgspec.msgpack.Decoder(CountsMessage), {"type": "no", "model": "m"}
    with pytest.raises(msgspec.ValidationError) as error:
        reader.decode(msgspec.msgpack.encode(plain))
    assert (
        misfit(reader, plain, error.value, OBJECTS).args[:2]
        == by_sentence(error.value)[0][:2]
        == ("wrong_type", "$.type")
    )


def test_names_that_msgspec_cannot_look_for_are_shown_as_they_are():
    schema = FeatureSchema((Feature('a "quoted"', required=True), Feature("b\\c", "boolean")))
    reader = request_decoders(schema).either
    for value, expected in (
        (b'{"features": {"b\\\\c": 1}}', ("missing_field", '$.features.a "quoted"')),
        (b'{"features": {"a \\"quoted\\"": "x"}}', ("wrong_type", '$.features.a "quoted"')),
        (b'{"a \\"quoted\\"": 1, "b\\\\c": 3}', ("wrong_type", "$.b\\c")),
    ):
        with pytest.raises(msgspec.ValidationError) as error:
            reader.decode(value)
        assert misfit(reader, value, error.value).args[:2] == expected


def test_what_is_broken_behind_the_fault_keeps_the_decoders_sentence():
    reader = request_decoders(REQUESTS).either
    value = b'{"age": "x", broken'
    with pytest.raises(msgspec.ValidationError) as error:
        reader.decode(value)
    assert misfit(reader, value, error.value).args == ("wrong_type", "$", str(error.value))


def test_what_stood_there_is_one_of_a_closed_set():
    reader = msgspec.json.Decoder(Prediction)
    for text in ("1", "1.5", "true", "null", "[]", "{}", '"a"', " 1 ", "-0", "1e3"):
        value = b'{"id": %s, "model": [] }' % text.encode()
        with pytest.raises(msgspec.ValidationError) as error:
            reader.decode(value)
        got = by_parts(reader, value, error.value, JSON)[1]
        assert got in KINDS and got == by_sentence(error.value)[1]
