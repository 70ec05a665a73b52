"""Records that can never be stored, in each topic that the sink reads: set aside alone, once, and told; the others are
stored once. On the real engine.
"""

import math
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from drift.store import Store, StoreSettings, StoreUnavailable
from drift.store.sink import Sink
from streams.runtime.set_aside import letters_of
from streams.runtime.taken_again import TOPICS, again
from streams.wire import observation
from streams.wire.block import Block
from streams.wire.dead_letters import Letter, dead_letter, letters
from streams.wire.effects import Publish
from streams.wire.records import (
    Alert,
    ColumnReport,
    Idle,
    LabelSums,
    MinuteCounts,
    Order,
    Outcome,
    PartialCounts,
    Report,
)
from streams.wire.refusals import Refusal
from streams.wire.schema import Feature, FeatureSchema

TS = 1_780_000_020_000
NEVER = 10**16  # the year 318857
HUGE = 2**70

Headers = list[tuple[str, bytes]] | None
Sent = tuple[bytes | None, Headers]


def observed(
    features: Mapping[str, Any] | None = None, model: str = "m", ts: int = TS, offset: int = 0, **head
) -> bytes:
    """One row; a feature by its value: a number, a text, a boolean."""
    features = {"age": 41.0} if features is None else features
    kinds: Any = {float: "numeric", str: "categorical", bool: "boolean"}
    made = tuple(
        Feature(name, kind, categories=(value,) if kind == "categorical" else ())
        for name, value in features.items()
        for kind in [kinds[type(value)]]
    )
    said = pa.array(["1"]).dictionary_encode()
    own = [[f"{model}-{offset}"], [ts], [offset], [0], [0.5], said, said]
    columns = [pa.array(v, t) if isinstance(v, list) else v for v, t in zip(own, observation.OWN.types, strict=True)]
    matrix = np.array([[value if isinstance(value, float) else float(value is True) for value in features.values()]])
    columns += observation.feature_columns(FeatureSchema(made), matrix.astype(np.float32), {})
    batch = pa.RecordBatch.from_arrays(columns, schema=observation.arrow_schema(FeatureSchema(made)))
    place = {"version": "v1", "topic": "requests", "partition": 0, "first": offset, "last": offset}
    return observation.encode(observation.Head(model=model, **(place | head)), batch)


def outcome(**changed) -> dict[str, Any]:
    one = Outcome(id="a", model="m", version="v1", ts=TS, score=0.5, prediction="1", label="1", label_ts=TS)
    return msgspec.to_builtins(one) | changed


def report(**changed) -> dict[str, Any]:
    column = ColumnReport(
        name="age", role="feature", kind="numeric", n=2, statistic="ks", effect=0.1, effect_low=0.0, effect_high=0.2,
        tolerance=0.05, evidence=1.0, drifted=False,
    )  # fmt: skip
    one = Report(
        model="m", version="v1", window_start=TS, window_end=TS + 60_000, rows=2, reference="r", evidence=1.0,
        budget=9.0, columns=[column],
    )  # fmt: skip
    return msgspec.to_builtins(one) | changed


def alert(**changed) -> dict[str, Any]:
    one = Alert(
        id="m/1", incident="m/1", event="open", model="m", version="v1", ts=TS, window_start=TS, window_end=TS,
        kind="feature", severity="warning", page=True, columns=[], change_point=TS, change_point_low=TS,
        change_point_high=TS, evidence=1e6, budget=1e5, reference="r", epoch=1, text="!",
    )  # fmt: skip
    return msgspec.to_builtins(one) | changed


def order(**changed) -> dict[str, Any]:
    one = Order(
        id="o", model="m", version="v1", incident="m/1", ts=TS, columns=["age"], since=TS, until=TS, reason="drift"
    )
    return msgspec.to_builtins(one) | changed


_PLACE = {"model": "m", "version": "v1", "reference": "r", "topic": "requests", "partition": 0, "first": 0, "last": 0}


def counted(changed: Mapping[str, Any] | None = None, minute_ms: int = TS, cells: bytes = b"\1" + bytes(7)) -> bytes:
    minute = MinuteCounts(minute_ms, "", False, 1, cells, bytes(16), bytes(8))
    one = PartialCounts(**_PLACE, partitions=1, watermark_ms=TS, minutes=[minute])
    return msgspec.msgpack.encode(msgspec.to_builtins(one, builtin_types=(bytes,)) | dict(changed or {}))


def sums(**changed) -> bytes:
    one = LabelSums(**_PLACE, segment="", minute_ms=TS, cells=bytes(8))
    return msgspec.msgpack.encode(msgspec.to_builtins(one, builtin_types=(bytes,)) | changed)


def lettered(**changed: bytes) -> Sent:
    block = Block.of("requests", 3, [b"{"], first=1041)
    letter = dead_letter(block, Refusal(0, "undecodable", "$", "cut"), "score")
    headers = dict(letter.headers or ()) | {f"driftline-{name}": value for name, value in changed.items()}
    return letter.value, list(headers.items())


class Case(NamedTuple):
    """A topic: good records, numbered; how many the store has; what is at fault by its kind, with the reason."""

    good: Callable[[int], Sent]
    stored: str
    bad: dict[str, tuple[Sent, str]]


def of_json(make: Callable[..., dict[str, Any]], stored: str, **bad: tuple[dict[str, Any], str]) -> Case:
    def sent(**changed) -> Sent:
        return msgspec.json.encode(make(**changed)), None

    kinds: dict[str, tuple[Sent, str]] = {kind: (sent(**changed), reason) for kind, (changed, reason) in bad.items()}
    kinds["another format"] = (sent(format=9), "unknown_format")
    kinds["a field missing"] = ((msgspec.json.encode({"model": "m"}), None), "missing_field")
    kinds["half a surrogate"] = ((b'{"model":"\\ud800"}', None), "undecodable")
    kinds["deep"] = ((b'{"?":' + b"[" * 100_000, None), "undecodable")
    return Case(lambda n: sent(model=f"m-{n}"), stored, kinds)


IMPOSSIBLE = "impossible_value"
CASES = {
    "alerts": of_json(
        alert,
        "SELECT count() FROM alerts",
        a_time=({"ts": NEVER}, IMPOSSIBLE),
        a_huge_time=({"window_end": HUGE}, IMPOSSIBLE),
        a_negative_time=({"change_point_low": -NEVER}, IMPOSSIBLE),
        a_huge_number=({"epoch": HUGE}, IMPOSSIBLE),
        a_type=({"page": "yes"}, "wrong_type"),
    ),
    "reports": of_json(
        report,
        "SELECT countIf(statistic = 'effect') FROM reports",
        a_time=({"window_start": NEVER}, IMPOSSIBLE),
        a_negative_revision=({"revision": -1}, IMPOSSIBLE),
        a_huge_number=({"rows": HUGE}, IMPOSSIBLE),
        a_type=({"columns": {}}, "wrong_type"),
    ),
    "retraining": of_json(order, "SELECT count() FROM retraining", a_time=({"since": -HUGE}, IMPOSSIBLE)),
    "outcomes": of_json(
        outcome,
        "SELECT count() FROM outcomes",
        a_time=({"ts": NEVER}, IMPOSSIBLE),
        a_label_time=({"label_ts": 9_068_000_000_000_000}, IMPOSSIBLE),
        a_sign=({"sign": 3}, "wrong_type"),
        a_score=({"score": "n/a"}, "wrong_type"),
    ),
    "counts": Case(
        lambda n: (counted({"model": f"m-{n}"}), None),
        "SELECT sum(rows) FROM counts",
        {
            "another format": ((counted({"format": 9}), None), "unknown_format"),
            "a time": ((counted(minute_ms=NEVER), None), IMPOSSIBLE),
            "half a number": ((counted(cells=b"123"), None), IMPOSSIBLE),
            "half a number of labels": ((sums(cells=b"123"), None), IMPOSSIBLE),
            "a time of labels": ((sums(minute_ms=-NEVER), None), IMPOSSIBLE),
            "no kind": ((msgspec.msgpack.encode({"model": "m"}), None), "missing_field"),
        },
    ),
    "observations": Case(
        lambda n: (observed(offset=n), None),
        "SELECT count() FROM predictions",
        {
            "another format": ((observed(format=9), None), "unknown_format"),
            "a time": ((observed(ts=NEVER), None), IMPOSSIBLE),
            "a huge partition": ((observed(partition=HUGE), None), IMPOSSIBLE),
            "a huge batch": ((observed(batch_rows=HUGE), None), IMPOSSIBLE),
            "truncated": ((observed()[:-99], None), "undecodable"),
            "a feature of another kind": ((observed({"age": "old"}), None), "schema_conflict"),
            "no feature's name": ((observed({"a\0b": 1.0}), None), "schema_conflict"),
            "no model's name": ((observed(model="a;\nDROP"), None), "schema_conflict"),
            "a model's name too long": ((observed(model="m" * 300), None), "schema_conflict"),
        },
    ),
    "dead-letters": Case(
        lambda n: lettered(),
        "SELECT count() FROM dead_letters",
        {
            "somebody else's": ((b"hello", [("traceparent", b"")]), "undecodable"),
            "no number": (lettered(partition=b"three"), "undecodable"),
            "a huge number": (lettered(offset=b"9" * 5_000), "undecodable"),
            "a negative number": (lettered(partition=b"-1"), "undecodable"),
            "again, of no topic": ((b"{", [("driftline-again", b"models/0/1/2")]), "undecodable"),
            "again, of nowhere": ((b"{", [("driftline-again", b"counts/0/x/2")]), "undecodable"),
        },
    ),
}
for _case in CASES.values():
    if _case is not CASES["dead-letters"]:  # without a letter's headers anything is somebody else's
        _case.bad["no value"] = ((None, [("traceparent", b"")]), "empty")
        _case.bad["an empty value"] = ((b"", None), "empty")
        _case.bad["garbage"] = ((b"\xc1\x00garbage", [("ce_id", b"\xff")]), "undecodable")
EACH = [(topic, kind) for topic, case in CASES.items() for kind in case.bad]


def block_of(topic: str, sent: list[Sent], first: int = 40) -> Block:
    n = len(sent)
    values, headers = [value for value, _ in sent], [headers for _, headers in sent]
    return Block(topic, 2, range(first, first + n), [TS] * n, [b"k"] * n, values, headers)


def lying(sent: list[Publish]) -> list[Letter]:
    """Letters as they are read from their topic."""
    n = len(sent)
    columns = [[getattr(one, name) for one in sent] for name in ("key", "value", "headers")]
    return list(letters(Block("dead-letters", 0, range(n), [TS] * n, *columns)))


_number = count()


@pytest.mark.parametrize(("topic", "kind"), EACH, ids=["-".join(each).replace(" ", "_") for each in EACH])
def test_a_record_at_fault_is_set_aside_and_the_others_are_stored_once(module_store, topic, kind):
    case = CASES[topic]
    bad, reason = case.bad[kind]
    number, before = next(_number), module_store.rows(case.stored)[0][0]
    block = block_of(topic, [case.good(2 * number), bad, case.good(2 * number + 1), bad])
    with capture_logs() as logs:
        for sink in (Sink(module_store), Sink(module_store)):  # and again, by one who knows nothing
            ready = sink.prepare(block)
            found = lying(ready.letters)
            ready.write(f"each-{number}")
            ready.write(f"each-{number}")
        ready.tell()
        ready.tell()
    assert [(one.source, one.stage, one.reason, one.key) for one in found] == [
        (f"{topic}/2/{offset}", "sink", reason, b"k") for offset in (41, 43)
    ]
    headers = [header for header in bad[1] or [] if not header[0].startswith("driftline-")]
    assert [(one.value, one.headers) for one in found] == [(bad[0], headers)] * 2
    assert [(line["place"], line["reason"]) for line in logs] == [(f"{topic}/2/41", reason)]
    assert module_store.rows(case.stored)[0][0] - before == 2


def test_what_the_sink_needs_no_row_of_is_neither_stored_nor_set_aside(store):
    idle = msgspec.msgpack.encode(Idle(model="m", topic="requests", partition=0, partitions=1))
    ready = Sink(store).prepare(block_of("counts", [(idle, None)]))
    ready.write("t")
    assert ready.letters == []


# --- A model whose table conflicts. ---


def test_a_model_whose_table_conflicts_is_set_aside_alone_and_taken_again_once_mended(store):
    sent = [
        observed({"age": 41.0}, "a"),
        observed({"age": "old"}, "a", offset=1, version="v2"),
        observed({"age": "old"}, "b", offset=2),
        observed({"age": 7.0}, "a", offset=3),
        observed({"age": "new"}, "a", offset=4, version="v2"),
    ]
    sink = Sink(store)
    with capture_logs() as logs:
        ready = sink.prepare(block_of("observations", [(value, None) for value in sent]))
        ready.write("t")
        ready.tell()
    assert store.rows("SELECT id FROM predictions ORDER BY id") == [("a-0",), ("a-3",), ("b-2",)]
    said = "feature 'age' of a is categorical now and Float32 in observations_a; give it another name"
    assert [(line["place"], line["why"]) for line in logs] == [("observations/2/41", said)]
    ((_, note),) = sink.set_aside.notes()
    assert note == f"2 records of observations/2 set aside as schema_conflict, the last observations/2/44: {said}"

    store.rows("ALTER TABLE `observations_a` MODIFY COLUMN age LowCardinality(Nullable(String))")
    letters = [again(letter) for letter in lying(ready.letters)]
    columns = [[getattr(one, name) for one in letters] for name in ("key", "value", "headers")]
    block = Block("dead-letters", 0, [7, 9], [TS] * 2, *columns)
    for _ in range(2):
        ready = sink.prepare(block)  # the same sink: what a conflict was is not remembered
        assert ready.letters == []
        ready.write("p.dead-letters/0/7-9")
    assert store.rows("SELECT id, age FROM observations_a ORDER BY id") == [
        ("a-0", "41"), ("a-1", "old"), ("a-3", "7"), ("a-4", "new")
    ]  # fmt: skip


def test_two_processes_that_add_a_column_as_two_kinds(store):
    """Which of them is first decides, and both abide by it."""
    first, second = Sink(store), Sink(store)
    first.prepare(block_of("observations", [(observed({"age": 41.0}), None)])).write("a")
    second.prepare(block_of("observations", [(observed({"age": 41.0}), None)])).write("b")
    numbers = block_of("observations", [(observed({"x": 1.0}), None)])
    texts = block_of("observations", [(observed({"x": "one"}), None)])
    assert first.prepare(numbers).letters == []
    assert [one.reason for one in lying(second.prepare(texts).letters)] == ["schema_conflict"]
    assert first.prepare(numbers).letters == []


# --- Taken again. ---


def test_what_the_sink_may_take_again_is_what_it_takes():
    assert {"dead-letters", *TOPICS} == set(Sink.topics)


@pytest.mark.parametrize("topic", [topic for topic in CASES if topic != "dead-letters"] + ["feedback"])
def test_a_letter_of_the_sink_is_taken_again_by_the_sink_alone(store, topic):
    label = (b'{"id":"a","label":1}', None)
    good, sql = (label, "SELECT count() FROM feedback")
    if topic != "feedback":
        good, sql = CASES[topic].good(0), CASES[topic].stored
    block = block_of(topic, [good, (b"\xc1", None)])
    refused = [Refusal(at, "impossible_value", "$", "") for at in (0, 1)]
    sent = [again(one) for one in lying(letters_of(block, refused, "sink"))]
    lies = [(b"{", [("driftline-redriven", b"3")]), *((one.value, one.headers) for one in sent), lettered()]
    for _ in range(2):
        ready = Sink(store).prepare(block_of("dead-letters", lies, first=90))
        ready.write("t")
    found = lying(ready.letters)
    if topic == "feedback":  # the join's
        assert found == []
        place = "source_topic, source_partition, source_offset, toUnixTimestamp64Milli(ts)"
        assert store.rows(f"SELECT {place} FROM feedback") == [("feedback", 2, 40, TS)]
    else:
        said = [(one.source, one.reason, one.redrives, one.value) for one in found]
        assert said == [(f"{topic}/2/41", "undecodable", 1, b"\xc1")]
        assert ready.letters[0].at == 2
    assert store.rows(sql) == [(1,)]
    assert store.rows("SELECT count() FROM dead_letters") == [(1,)]


# --- Away. ---


def test_a_store_that_does_not_answer_is_waited_for_and_nothing_is_set_aside():
    away = Store(StoreSettings(port=9, connect_s_max=0.2))
    for topic, case in CASES.items():
        with pytest.raises(StoreUnavailable):
            ready = Sink(away).prepare(block_of(topic, [case.good(0)]))
            ready.write("t")


# --- Total. ---

_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
_JSON = st.recursive(
    _LEAVES | st.sampled_from([HUGE, -1, NEVER, 1e300, math.inf]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.system  # hundreds of records, each to the store
@settings(max_examples=40)
@given(data=st.data())
@pytest.mark.parametrize("topic", list(CASES))
def test_whatever_was_written_is_stored_or_set_aside(module_store, data, topic):
    """A record with any of its fields changed, or its bytes: no other record suffers, nothing is raised."""
    case, number = CASES[topic], next(_number)
    value, headers = case.good(3 * number)
    assert value is not None
    if topic in ("counts", "observations", "dead-letters") or data.draw(st.booleans()):
        # Records are numbered, so their lengths differ from one run to the next: what is drawn may not depend on them.
        at, damage = data.draw(st.integers(0, 999)) % (len(value) + 1), data.draw(st.binary(max_size=9))
        value = value[:at] + damage + value[at + len(damage) :]
    else:
        fields = msgspec.json.decode(value)
        value = msgspec.json.encode(fields | {data.draw(st.sampled_from(sorted(fields))): data.draw(_JSON)})
    if headers:
        at = data.draw(st.integers(0, len(headers) - 1))
        headers = [*headers[:at], (headers[at][0], data.draw(st.binary(max_size=30))), *headers[at + 1 :]]
    before = module_store.rows(case.stored)[0][0]
    sent = [case.good(3 * number + 1), (value, headers), case.good(3 * number + 2)]
    ready = Sink(module_store).prepare(block_of(topic, sent))
    ready.write(f"any-{number}")
    stored, found = module_store.rows(case.stored)[0][0] - before, lying(ready.letters)
    assert (stored >= 2, [one.source for one in found]) in ((True, []), (True, [f"{topic}/2/41"]))
