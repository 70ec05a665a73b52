"""The count stage: exact sums, whatever the split; lateness by the row; dead letters; parts."""

from itertools import pairwise

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift import Reference, count_rows
from drift.cells.sums import Sums
from drift.counting.event_clocks import MEMORY_BYTES_MAX, VERSIONS_MAX, EventClocks
from drift.counting.minutes import unpack
from drift.counting.stage import Count, idle
from drift.reference.catalogue import Unwatched
from streams.wire import observation
from streams.wire.block import Block
from streams.wire.records import CountsMessage, Idle, PartialCounts, Watch

MINUTE = 60_000
ROWS = 300
WATCH = Watch()


def table(rows: int = ROWS, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 12, rows).astype(np.float32)
    age[rng.random(rows) < 0.05] = np.nan
    city = rng.choice(["Rome", "Oslo", "Bern", None], rows)
    return pd.DataFrame({"age": age, "city": city, "member": rng.random(rows) < 0.3, "p": rng.random(rows)})


REFERENCE = Reference.fit(table(1000, seed=0), score="p", segments=("city",))


def observed(frame: pd.DataFrame, times: np.ndarray) -> pa.RecordBatch:
    rows = len(frame)
    own = [
        pa.array([str(i) for i in range(rows)]),
        pa.array(times, pa.int64()),
        pa.array(range(rows), pa.int64()),
        pa.array([0] * rows, pa.int32()),
        pa.array(frame["p"], pa.float32()),
        pa.array(["x"] * rows).dictionary_encode(),
        pa.array(["champion"] * rows).dictionary_encode(),
    ]
    features = [
        pa.array(frame["age"], pa.float32(), from_pandas=True),
        pa.array(frame["city"]).dictionary_encode(),
        pa.array(frame["member"]),
    ]
    schema = observation.arrow_schema(REFERENCE.schema)
    return pa.RecordBatch.from_arrays([*own, *features], schema=schema)


def messages(batch: pa.RecordBatch, cuts: list[int], version: str = "v1") -> list[bytes]:
    bounds = [0, *sorted(cuts), batch.num_rows]
    return [
        observation.encode(
            observation.Head(model="m", version=version, topic="requests", partition=2, first=a, last=b - 1),
            batch.slice(a, b - a),
        )
        for a, b in pairwise(bounds)
        if b > a
    ]


def stage(memory: str = "", watch: Watch = WATCH) -> Count:
    return Count(lambda model, version: REFERENCE, lambda model: watch, partitions=8, clocks=EventClocks(2, memory))


def said(published) -> list[CountsMessage]:
    return [msgspec.msgpack.decode(p.value, type=CountsMessage) for p in published if p.topic == "counts"]


def added(counts: list[PartialCounts]) -> dict[tuple[str, int, bool], Sums]:
    total: dict[tuple[str, int, bool], Sums] = {}
    for part in counts:
        for minute in part.minutes:
            key = (minute.segment, minute.minute_ms, minute.late)
            total[key] = total.get(key, Sums.zero(REFERENCE)) + unpack(minute)
    return total


def same(left: dict, right: dict) -> bool:
    return left.keys() == right.keys() and all(
        left[k].rows == right[k].rows
        and np.array_equal(left[k].cells, right[k].cells)
        and np.array_equal(left[k].moments, right[k].moments)
        and np.array_equal(left[k].extremes, right[k].extremes, equal_nan=True)
        for k in left
    )


# Event times wander by minutes, so that some rows are late.
TIMES = np.cumsum(np.random.default_rng(3).integers(0, 4_000, ROWS)) + np.random.default_rng(4).choice(
    [0, 0, 0, -200_000], ROWS
)
BATCH = observed(table(), TIMES)


@given(
    cuts=st.lists(st.integers(1, ROWS - 1), max_size=12),
    blocks=st.lists(st.integers(1, 12), max_size=4),
    restarts=st.booleans(),
)
@settings(max_examples=40)
def test_any_split_into_messages_blocks_and_restarts_adds_up_to_the_same(cuts, blocks, restarts):
    whole = stage().process(Block.of("observations", 2, messages(BATCH, [])))
    values = messages(BATCH, cuts)
    counting, published, memory = stage(), [], ""
    bounds = [0, *sorted({b for b in blocks if b < len(values)}), len(values)]
    for a, b in pairwise(bounds):
        if restarts:
            counting = stage(memory)
        effects = counting.process(Block.of("observations", 2, values[a:b], first=a))
        published += effects.publish
        memory = effects.memory
    assert same(added(said(published)), added(said(whole.publish)))
    assert memory == whole.memory
    assert said(published)[-1].watermark_ms == int(TIMES.max())


def test_sums_are_those_of_numpy_by_minute():
    total = added(said(stage().process(Block.of("observations", 2, messages(BATCH, [100]))).publish))
    everything = {key: sums for key, sums in total.items() if key[0] == ""}
    assert sum(s.rows for s in everything.values()) == ROWS
    cells = sum(s.cells for s in everything.values())
    expected = np.concatenate([np.bincount(c.index(BATCH.column(c.name)), minlength=c.size) for c in REFERENCE.columns])
    np.testing.assert_array_equal(cells, expected)
    np.testing.assert_array_equal(cells, count_rows(REFERENCE, BATCH))
    for minute in {key[1] for key in everything}:
        inside = minute == TIMES // MINUTE * MINUTE
        assert sum(s.rows for key, s in everything.items() if key[1] == minute) == inside.sum()
    age = BATCH.column("age").to_numpy(zero_copy_only=False)
    place = REFERENCE.place("age")
    steps = np.rint((age.astype(float) - REFERENCE.centre[place]) / REFERENCE.scale[place] * 2**12)
    assert sum(s.moments[place, 0] for s in everything.values()) == np.nansum(steps)
    assert sum(s.moments[place, 1] for s in everything.values()) == np.nansum(steps**2)
    assert np.nanmin([s.extremes[place, 0] for s in everything.values()]) == np.nanmin(age)


def test_a_row_is_late_by_the_maximum_before_it():
    # By hand: windows of a minute, 60 s of lateness. Window [0, 60 s) closes once 120 s has been seen.
    times = np.array([5_000, 119_999, 6_000, 120_000, 7_000, 60_000, 180_000, 119_999, 180_001])
    batch = observed(table(len(times)), times)
    total = added(said(stage().process(Block.of("observations", 2, messages(batch, [4]))).publish))
    late = {key[1]: sums.rows for key, sums in total.items() if key[2] and key[0] == ""}
    assert late == {0: 1, 60_000: 1}


def test_a_longer_window_waits_longer():
    times = np.array([5_000, 200_000, 6_000])
    batch = observed(table(3), times)
    watch = Watch(window_ms=5 * MINUTE)
    total = added(said(stage(watch=watch).process(Block.of("observations", 2, messages(batch, []))).publish))
    assert not any(key[2] for key in total)


def test_segments_divide_the_whole():
    total = added(said(stage().process(Block.of("observations", 2, messages(BATCH, []))).publish))
    assert {key[0] for key in total} == {"", "city=Bern", "city=Oslo", "city=Rome", "city=null"}
    apart = sum(sums.cells for key, sums in total.items() if key[0])
    np.testing.assert_array_equal(apart, sum(sums.cells for key, sums in total.items() if not key[0]))


def test_messages_are_keyed_by_model_and_only_the_last_part_moves_the_watermark(monkeypatch):
    monkeypatch.setattr("drift.counting.minutes.PART_BYTES_MAX", 6_000)
    published = stage().process(Block.of("observations", 2, messages(BATCH, []))).publish
    parts = said(published)
    assert len(parts) > 2 and {p.key for p in published} == {b"m"}
    assert [p.watermark_ms is None for p in parts] == [True] * (len(parts) - 1) + [False]
    assert {(p.first, p.last, p.partition, p.partitions, p.reference) for p in parts} == {
        (0, ROWS - 1, 2, 8, REFERENCE.id)
    }


def test_a_column_that_the_model_did_not_send_counts_as_null():
    batch = BATCH.drop_columns(["age"])
    total = added(said(stage().process(Block.of("observations", 2, messages(batch, []))).publish))
    cells = sum(sums.cells for key, sums in total.items() if not key[0])
    assert REFERENCE.of("age", cells)[REFERENCE.columns[0].null] == ROWS


def test_what_is_no_observation_is_a_dead_letter_and_the_rest_goes_on():
    values = [b"not arrow", *messages(BATCH, []), None]
    published = stage().process(Block.of("observations", 2, values)).publish
    assert [p.topic for p in published] == ["dead-letters", "counts", "dead-letters"]
    assert dict(published[0].headers)["driftline-stage"] == b"count"


def test_a_version_without_a_reference_is_served_unwatched():
    def catalogue(model, version):
        raise Unwatched(model)

    effects = Count(catalogue, lambda m: Watch(), 8).process(Block.of("observations", 2, messages(BATCH, [])))
    assert not effects.publish


@given(cuts=st.lists(st.integers(1, ROWS - 1), max_size=6), blocks=st.lists(st.integers(1, 6), max_size=3))
@settings(max_examples=20)
def test_what_another_version_has_seen_makes_no_row_late(cuts, blocks):
    # Of each block of requests the champion's rows come first, and then the shadow's: minutes behind, and not late.
    by_version = [messages(BATCH, cuts, version) for version in ("v1", "v2")]
    values = [value for both in zip(*by_version, strict=True) for value in both]
    counting, published, memory = stage(), [], ""
    bounds = [0, *sorted({b for b in blocks if b < len(values)}), len(values)]
    for a, b in pairwise(bounds):
        counting = stage(memory)
        effects = counting.process(Block.of("observations", 2, values[a:b], first=a))
        published += effects.publish
        memory = effects.memory
    alone = added(said(stage().process(Block.of("observations", 2, messages(BATCH, []))).publish))
    for version in ("v1", "v2"):
        assert same(added([part for part in said(published) if part.version == version]), alone)


def test_memory_is_one_time_a_model_version_and_source():
    effects = stage().process(Block.of("observations", 2, messages(BATCH, [], "v1") + messages(BATCH, [], "v2")))
    latest = int(TIMES.max())
    assert msgspec.json.decode(effects.memory) == {"m": {"requests/2": {"v1": latest, "v2": latest}}}


def test_of_too_many_versions_those_longest_behind_are_forgotten():
    old = {f"2026-11-21T{i:03}": 400_000 + i for i in range(VERSIONS_MAX)}
    memory = msgspec.json.encode({"m": {"requests/2": old}}).decode()
    effects = stage(memory).process(Block.of("observations", 2, messages(BATCH, [], "new")))
    kept = msgspec.json.decode(effects.memory)["m"]["requests/2"]
    assert kept == {**dict(list(old.items())[1:]), "new": int(TIMES.max())}


NAMES = [f"model-of-18-{n:06}" for n in range(1_000)]


@pytest.mark.parametrize("models", [1, 71, 72, 1_000], ids=str)
def test_any_number_of_models_share_a_partition_whatever_restarts(models):
    """Killed after any commit, and compacted or not, the clocks are those that never stopped: at the limit of an
    offset's metadata, just behind it, and far beyond.
    """
    rng = np.random.default_rng(models)
    straight, clocks, memory, log = EventClocks(2), EventClocks(2), "", []
    for turn in range(12):
        for name in [*rng.choice(NAMES[:models], 5), *(NAMES[:models] if turn == 3 else ())]:
            ms = int(rng.integers(1_700_000_000_000, 1_800_000_000_000))
            ms = max(ms, straight.reached(name, "requests/2", "v1") or 0)
            for one in (straight, clocks):
                one.reach(name, "requests/2", "v1", ms)
        memory, published = clocks.to_commit()
        straight.to_commit()
        assert len(memory) <= MEMORY_BYTES_MAX and {message.topic for message in published} <= {"snapshots"}
        log += published
        if turn % 2:
            newest = {message.key: message for message in log}.values()
            left = list(newest) if turn % 4 == 1 else [*log[::-1], *log]  # and in whatever order partitions are read
            strange = [b"", b"\xff", b'{"clocks":7}', b'{"clocks":{},"format":9}', b"[" * 100_000]
            keys = [*(one.key for one in left), *[b"event-clocks/2/x"] * 5, None, b"event-clocks/3/model", b"counts/2"]
            values = [*(one.value for one in left), *strange, *[b'{"clocks":{"requests/2":{"v1":1}}}'] * 3]
            n = len(values)
            block = Block("snapshots", 0, range(n), [0] * n, keys, values, [None] * n)
            clocks = EventClocks(2, memory, lambda block=block: [block])
            assert {k: v for k, v in clocks.maxima.items() if k != "x"} == straight.maxima
    assert (memory == '"records"') == (models > 71)


def test_idle_tells_the_judge_of_each_model():
    published = idle(["a", "b"], "requests", 3, 8).publish
    flags = [Idle(model=name, topic="requests", partition=3, partitions=8, repeated=True) for name in ("a", "b")]
    assert said(published) == flags
