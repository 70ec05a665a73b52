"""Times that no clock says, at every door by which a time enters: refused by name, whatever else the record says."""

import msgspec
import pytest

from drift.counting.external import Mapping, RecordReader
from drift.counting.external.stage import ExternalTopics
from drift.labels.feedback import WAITING, read_labels
from streams.formats.envelope import default_time, event_time
from streams.formats.untyped import UntypedReader
from streams.wire.block import Block
from streams.wire.refusals import Refused
from streams.wire.time_limits import END_MS

NOW = 1_780_000_000_000
FAR = 9_000_000_000_000_000  # the year 287170
IMPOSSIBLE = {
    "year 287170": FAR,
    "year 2100": END_MS,
    "year 9999": "9999-12-31T23:59:59Z",
    "year 9999 ahead of utc": "9999-12-31T23:59:59-23:59",
    "year 1": "0001-01-01T00:00:00Z",
    "year 0": "0000-01-01T00:00:00Z",
    "before 1970": "1969-12-31T23:59:59Z",
    "negative": -1,
    "seconds": 1_780_000_000,
    "fraction": NOW + 0.5,
    "1e300": 1e300,
    "boolean": True,
    "text": "tomorrow",
    "digits": "1" * 5_000,
    "nothing": "",
}


@pytest.mark.parametrize("arrived", [NOW, FAR], ids=["clock", "client-clock"])
@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_label_has_no_impossible_time(name, arrived):
    value = msgspec.json.encode({"id": "a", "label": 1, "ts": IMPOSSIBLE[name]})
    labels, refused = read_labels(Block.of("feedback", 0, [value], time=arrived))
    assert [one.reason for one in refused] == ["impossible_timestamp"] and not labels


@pytest.mark.parametrize("arrived", [-1, FAR, END_MS])
def test_a_label_without_a_time_has_none_of_a_strange_client(arrived):
    labels, refused = read_labels(Block.of("feedback", 0, [b'{"id":"a","label":1}'], time=arrived))
    assert [one.reason for one in refused] == ["impossible_timestamp"] and not labels


@pytest.mark.parametrize("name", [n for n, value in IMPOSSIBLE.items() if not isinstance(value, bool)])
@pytest.mark.parametrize("arrived", [NOW, FAR], ids=["clock", "client-clock"])
def test_a_request_has_no_impossible_time(name, arrived):
    with pytest.raises(Refused) as refused:
        event_time(IMPOSSIBLE[name], arrived)
    assert refused.value.args[0] == "impossible_timestamp"
    with pytest.raises(Refused):
        default_time(Block.of("requests", 0, [b"{}"], time=FAR), 0)


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_watched_label_has_no_impossible_time(name):
    reader = RecordReader(Mapping(topic="t", model="m", version="v1", id="id", label="label", label_ts="at"), None)
    value = msgspec.json.encode({"id": "a", "label": 1, "at": IMPOSSIBLE[name]})
    effects = ExternalTopics([reader], UntypedReader("json", None), 1, 1).process(Block.of("@t", 0, [value], time=NOW))
    (letter,) = effects.publish
    assert letter.topic == "dead-letters"
    assert dict(letter.headers)["driftline-reason"] == b"impossible_timestamp"


@pytest.mark.parametrize("text", [b"soon", None, b"1e3", b"9" * 5_000, b"\xff", b"--1"])
@pytest.mark.parametrize("name", ["waited-ms", "label-arrived"])
def test_a_label_that_waits_is_refused_where_its_headers_are_not_ours(name, text):
    block = Block(WAITING, 0, [0], [NOW], [None], [b'{"id":"a","label":1}'], [[(name, text)]])
    labels, refused = read_labels(block)
    assert [(one.reason, one.field) for one in refused] == [("undecodable", f"@header.{name}")] and not labels


def test_a_label_is_no_essay():
    said, refused = read_labels(Block.of("feedback", 0, [b'{"id":"a","label":"%s"}' % (b"x" * 513)], time=NOW))
    assert [one.reason for one in refused] == ["oversize"] and not said
