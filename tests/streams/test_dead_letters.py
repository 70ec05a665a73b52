"""What a dead letter keeps, and what is read back of it."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.wire.block import Block
from streams.wire.dead_letters import (
    IN_WORDS,
    KEPT_BYTES_MAX,
    KEPT_WHOLE_BYTES_MAX,
    REDRIVEN_FROM,
    REDRIVES,
    cut,
    dead_letter,
    is_mark,
    letters,
    mark,
    marked,
)
from streams.wire.effects import Publish
from streams.wire.refusals import REASONS, Refusal

REFUSAL = Refusal(0, "wrong_type", "$.features.age", "Expected `float`, got `str`")


def record(value: bytes | None, key: bytes | None = None, headers=None) -> Block:
    return Block("requests", 3, [1041], [7], [key], [value], [headers])


def lying(*sent: Publish, first: int = 17) -> Block:
    """Messages as they lie on the letters' topic."""
    return Block(
        "dead-letters",
        0,
        range(first, first + len(sent)),
        [1_000] * len(sent),
        [m.key for m in sent],
        [m.value for m in sent],
        [m.headers for m in sent],
    )


@given(
    value=st.none() | st.binary(max_size=50),
    key=st.none() | st.binary(max_size=9),
    headers=st.none() | st.lists(st.tuples(st.text(max_size=9), st.binary(max_size=9)), max_size=3),
)
def test_a_letter_is_read_back_as_the_record_was(value, key, headers):
    (letter,) = letters(lying(dead_letter(record(value, key, headers), REFUSAL, "score", attempts=2)))
    assert (letter.key, letter.value, letter.headers) == (key, value, headers or [])
    assert (letter.place, letter.source, letter.time_ms) == ("dead-letters/0/17", "requests/3/1041", 1_000)
    assert (letter.stage, letter.reason) == ("score", "wrong_type")
    assert (letter.field, letter.detail) == (REFUSAL.field, REFUSAL.detail)
    assert (letter.attempts, letter.redrives, letter.sha256) == (2, 0, "")


def test_an_oversize_value_keeps_its_beginning_its_size_and_its_hash():
    value = b"x" * (KEPT_WHOLE_BYTES_MAX + 1)
    (letter,) = letters(lying(dead_letter(record(value), REFUSAL, "score")))
    assert (letter.value, letter.size) == (value[:KEPT_BYTES_MAX], len(value))
    assert letter.sha256 == hashlib.sha256(value).hexdigest()


def test_a_letter_too_large_for_kafka_is_cut_once_and_stays_readable():
    value = b"x" * (KEPT_WHOLE_BYTES_MAX + 1)
    headers = [("big", b"y" * 900_000), (REDRIVEN_FROM, b"z" * 900_000)]
    short = cut(dead_letter(record(value, b"k" * 900_000, headers), REFUSAL, "score"))
    assert sum(map(len, (short.value, short.key, *(v for _, v in short.headers)))) < 200_000
    (letter,) = letters(lying(short))
    assert (letter.size, letter.sha256, letter.source) == (
        len(value),
        hashlib.sha256(value).hexdigest(),
        "requests/3/1041",
    )
    (empty,) = letters(lying(cut(dead_letter(record(None), REFUSAL, "score"))))
    assert empty.sha256  # its headers are gone, so it is no longer the record that it was


def test_headers_of_ours_are_not_taken_from_a_record_but_for_its_history():
    forged = [("driftline-reason", b"nothing"), ("driftline-redriven", b"3"), ("mine", b"1")]
    history = [(REDRIVEN_FROM, b"dead-letters/0/5"), (REDRIVES, b"2")]
    sent = dead_letter(record(b"{", headers=[*forged, *history]), REFUSAL, "score")
    assert not is_mark(sent.headers)
    (letter,) = letters(lying(sent))
    assert (letter.reason, letter.headers, letter.redrives) == ("wrong_type", [("mine", b"1")], 2)


@pytest.mark.parametrize("said", [b"", b"-1", b"many", b"\xff", "²".encode()])
def test_a_count_that_anybody_wrote_breaks_nothing(said):
    (letter,) = letters(lying(dead_letter(record(b"{", headers=[(REDRIVES, said)]), REFUSAL, "score")))
    assert letter.redrives == 0


def test_marks_are_no_letters_and_name_theirs():
    sent = dead_letter(record(b"{"), REFUSAL, "score")
    (letter,) = letters(lying(sent))
    block = lying(sent, mark(letter), Publish("dead-letters", b"somebody else's"), Publish("dead-letters", None))
    assert [found.offset for found in letters(block)] == [17]
    assert marked([block]) == {(0, 17)}
    assert [is_mark(headers) for headers in block.headers] == [False, True, False, False]


def test_every_reason_has_words():
    assert set(IN_WORDS) == set(REASONS)
