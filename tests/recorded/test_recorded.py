"""What an earlier version wrote is read by this one, and means the same: a recorded demo, topic by topic.

`record.py` made the recordings. The judge is the strongest reader: fed the recorded counts, it must say every report,
alert and order that was said then (alerts in other words, where they are better), and hold the very state that was
written to `snapshots` then.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy._core._multiarray_umath import __cpu_features__
from recording import Record, Recording, read

from drift import Reference
from drift.judge.stage import Judge
from drift.labels.feedback import read_labels
from streams.runtime import snapshots
from streams.wire import observation
from streams.wire.block import Block
from streams.wire.dead_letters import letters
from streams.wire.records import Alert, CountsMessage, Order, Outcome, Prediction, Report
from streams.wire.route import read_route

RECORDINGS = sorted(Path(__file__).parent.glob("*.msgpack.xz"))
JSON_TOPICS = {"predictions": Prediction, "outcomes": Outcome, "reports": Report, "alerts": Alert, "retraining": Order}


@pytest.fixture(scope="module", params=RECORDINGS, ids=lambda path: path.name.partition(".")[0])
def recording(request) -> Recording:
    return read(request.param)


def blocks(recording: Recording, topic: str) -> Iterator[Block]:
    """The records of a topic, one block a partition."""
    rows: dict[int, list[Record]] = {}
    for record in recording.topics[topic]:
        rows.setdefault(record.partition, []).append(record)
    for partition, records in rows.items():
        columns = zip(*(msgspec.structs.astuple(record)[1:] for record in records), strict=True)
        yield Block(topic, partition, *map(list, columns))


def lacks(now: Any, then: Any, path: str = "$") -> list[str]:
    """Places at which a document differs from an older one; what is new in an object is no difference."""
    if isinstance(then, dict) and isinstance(now, dict):
        return [at for key in then for at in lacks(now.get(key, "nothing"), then[key], f"{path}.{key}")]
    if isinstance(then, list) and isinstance(now, list) and len(now) == len(then):
        return [at for i, pair in enumerate(zip(now, then, strict=True)) for at in lacks(*pair, f"{path}[{i}]")]
    return [] if same(now, then) else [f"{path}: {now!r} is not {then!r}"]


#: The recordings were made with AVX-512, where NumPy's logarithms and exponentials round otherwise in the last bits.
AS_RECORDED = bool(__cpu_features__["AVX512_SKX"])


def same(now: Any, then: Any, exactly: bool = AS_RECORDED) -> bool:
    """Whether two values are equal: numbers that were computed, to the last bit where they were computed alike."""
    if exactly or now == then:
        return bool(now == then)
    if isinstance(now, float) and isinstance(then, float):
        return math.isclose(now, then, rel_tol=1e-12)
    if isinstance(now, bytes) and isinstance(then, bytes) and len(now) == len(then) and len(now) % 8 == 0:
        numbers = np.frombuffer(now, np.float64), np.frombuffer(then, np.float64)
        return bool(np.isclose(*numbers, rtol=1e-12, atol=0, equal_nan=True).all())
    return False


#: What is remembered today and was not then: the time of Kafka's clock at which something came.
NEW = {"closed_at_ms", "labelled_at_ms"}


#: How an alert says what it says: later versions may say it better.
WORDING = {"text", "parts", "later", "opinions", "levels"}


def _facts(message: Any) -> Any:
    """A message without the wording of alerts; evidence is of the labels that had come when it was asked for, and a
    later version may ask a moment sooner.
    """
    if isinstance(message, dict):
        kept = {key: _facts(value) for key, value in message.items() if key not in WORDING}
        return kept | ({"evidence": float(f"{kept['evidence']:.6g}")} if "evidence" in kept else {})
    return [_facts(value) for value in message] if isinstance(message, list) else message


def _without_new(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: _without_new(value) for key, value in state.items() if key not in NEW}
    return [_without_new(value) for value in state] if isinstance(state, list) else state


@pytest.mark.parametrize(
    ("now", "then", "exactly", "expected"),
    [
        (1.5, 1.5 + 4e-16, False, True),
        (1.5, 1.5 + 4e-16, True, False),
        (1.5, 1.5 + 1e-9, False, False),
        (np.array([1.5, np.inf]).tobytes(), np.array([1.5 + 4e-16, np.inf]).tobytes(), False, True),
        (np.array([1.5, 2.0]).tobytes(), np.array([1.5, 2.1]).tobytes(), False, False),
        (np.array([7]).tobytes(), np.array([8]).tobytes(), False, False),
        (3, 4, False, False),
        (b"abc", b"abd", False, False),
    ],
)
def test_computed_numbers_may_differ_in_the_last_bits_on_another_processor_and_counts_may_not(
    now, then, exactly, expected
):
    assert same(now, then, exactly) is expected


def test_lacks_sees_what_is_gone_and_what_changed_and_passes_over_what_is_new():
    assert lacks({"a": [1, 2], "b": 3}, {"a": [1, 2]}) == []
    assert lacks({"a": [1, 3]}, {"a": [1, 2], "c": 4}) == ["$.a[1]: 3 is not 2", "$.c: 'nothing' is not 4"]


@pytest.mark.parametrize("topic", JSON_TOPICS)
def test_records_of_json_topics_are_read_and_written_as_they_were(recording, topic):
    kept = recording.topics[topic]
    assert kept
    for record in kept[:: len(kept) // 200 + 1]:
        again = msgspec.json.encode(msgspec.json.decode(record.value, type=JSON_TOPICS[topic]))
        assert lacks(json.loads(again), json.loads(record.value)) == []


def test_counts_are_read_and_written_as_they_were(recording):
    kinds = set()
    for record in recording.topics["counts"]:
        message = msgspec.msgpack.decode(record.value, type=CountsMessage)
        kinds.add(type(message).__name__)
        assert (
            lacks(msgspec.msgpack.decode(msgspec.msgpack.encode(message)), msgspec.msgpack.decode(record.value)) == []
        )
    assert {"PartialCounts", "LabelSums", "Idle", "RouteCopy"} <= kinds


def test_observations_are_read_and_written_as_they_were(recording):
    for record in recording.topics["observations"]:
        head, batch = observation.decode(record.value)
        again_head, again = observation.decode(observation.encode(head, batch))
        assert (again_head, again.to_pydict()) == (head, batch.to_pydict())
        assert batch.num_rows or head.refused


def test_routes_labels_and_dead_letters_are_read(recording):
    assert [read_route(record.value).model for record in recording.topics["models"]] == [recording.model]
    for block in blocks(recording, "feedback"):
        labels, refusals = read_labels(block)
        assert (len(labels), refusals) == (len(block), [])
    dead = [letter for block in blocks(recording, "dead-letters") for letter in letters(block)]
    assert len(dead) == len(recording.topics["dead-letters"]) > 0
    assert {letter.topic for letter in dead} == {"requests"}


def test_a_reference_is_read_and_written_as_it_was(recording):
    reference = Reference.from_bytes(recording.reference)
    ids = {msgspec.msgpack.decode(record.value).get("reference") for record in recording.topics["counts"]} - {None, ""}
    assert ids == {reference.id} == {Reference.from_bytes(reference.to_bytes()).id}


@pytest.mark.system  # a whole demo's windows
def test_the_judge_says_again_what_it_said_then_and_holds_the_state_it_held_then(recording):
    reference = Reference.from_bytes(recording.reference)
    judge = Judge(lambda model, version: reference)
    counts = max(blocks(recording, "counts"), key=len)
    written = {
        msgspec.json.decode(record.value, type=snapshots.Manifest).position
        for record in recording.topics["snapshots"]
        if record.key == f"counts/{counts.partition}".encode()
    }
    stored = list(blocks(recording, "snapshots"))
    said: dict[str, list[bytes]] = {"reports": [], "alerts": [], "retraining": []}
    compared = 0
    for at, offset in enumerate(counts.offsets):
        for publication in judge.process(counts[at : at + 1]).publish:
            said[publication.topic].append(publication.value)
        if offset + 1 in written:
            found = snapshots.newest(stored, "counts", counts.partition, offset + 1)
            if found is not None and found[0] == offset + 1:
                compared += 1
                now, then = (msgspec.msgpack.decode(frozen) for frozen in (judge.snapshot(), found[1]))
                assert lacks(now, then) == []
                again = Judge(lambda model, version: reference)
                again.restore(found[1])
                restored = msgspec.msgpack.decode(again.snapshot())
                assert lacks(_without_new(now), _without_new(restored)) == []
                assert lacks(_without_new(restored), _without_new(now)) == []
                again.restore(judge.snapshot())
                assert again.snapshot() == judge.snapshot()
    assert compared
    for topic, values in said.items():
        then = [json.loads(record.value) for record in recording.topics[topic] if record.partition == counts.partition]
        assert len(values) == len(then) > 0
        for now, before in zip(values, then, strict=True):
            assert lacks(_facts(json.loads(now)), _facts(before)) == []
