"""Labels as clients send them: read, or refused by a text that names the thing."""

import gzip

import pytest

from drift.labels.feedback import read_labels
from streams.wire.block import Block

NOW = 1_700_000_000_000


def read(value: bytes | None):
    return read_labels(Block.of("feedback", 0, [value], time=NOW))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'{"id":7,"label":1}', ("7", "1")),
        (b'{"id":-3,"label":true}', ("-3", "true")),
        (b'{"id":12345678901234567890,"label":"a"}', ("12345678901234567890", "a")),
        (b'{"id":"a/1","label":0.5,"note":"x"}', ("a/1", "0.5")),
        (b'{"id":"a","label":1.0,"ts":"2023-11-14T02:00:00+02:00"}', ("a", "1")),
        (b'\xef\xbb\xbf{"id":"a","label":"NaN, or so"}', ("a", "NaN, or so")),
    ],
)
def test_what_a_client_means_is_read(value, expected):
    (label,), refused = read(value)
    assert (label.id, label.label) == expected and not refused


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (None, "no value"),
        (b"", "no value"),
        (b'{"id":"a"}', "label"),
        (b'{"id":"a","label":null}', "null"),
        (b'{"id":"a","label":NaN}', "NaN"),
        (b'{"id":"a","label":-Infinity}', "-Infinity"),
        (b'{"id":"a","label":[1]}', "array"),
        (b'{"id":"a","label":{"v":1}}', "object"),
        (b'{"id":"","label":1}', "$.id"),
        (b'{"id":null,"label":1}', "$.id"),
        (b'{"id":true,"label":1}', "$.id"),
        (b'{"id":"a","label":1,"ts":-1}', "$.ts"),
        (b'{"id":"a","label":1,"ts":4102444800000}', "$.ts"),
        (b'{"id":"a","label":"\\ud83d"}', "surrogate"),
        ('{"id":"a","label":1}'.encode("utf-16"), "UTF-16"),
        (gzip.compress(b'{"id":"a","label":1}', mtime=0), "JSON"),
        (b'{"id":"a","label":1}{"id":"b","label":1}', "one message is one JSON object"),
        (b"id=a", "JSON"),
        (b"[1,2]", "object"),
    ],
)
def test_what_is_no_label_is_refused_by_its_name(value, word):
    labels, (refusal,) = read(value)
    assert not labels
    assert word in f"{refusal.field} {refusal.detail}"
