"""Hostile reference files: refused with what, where and what came, within bounded memory; damage is found."""

import json
import random
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from drift import Reference
from drift.reference import file as reference_file
from drift.reference.file import NoReference
from streams.wire.schema import Feature, FeatureSchema, SchemaError

KEY = b"driftline.reference"
#: MB by which reading any of these files may grow a process: what is read at most, as bytes, Arrow and Python objects.
GROWTH_MB_MAX = 400


@pytest.fixture(scope="module")
def reference() -> Reference:
    draw = np.random.default_rng(7)
    age, city = draw.normal(40, 10, 400), draw.choice(["Rome", "Oslo", "Bern"], 400)
    frame = pd.DataFrame({"age": age, "city": city, "p": draw.random(400), "y": draw.integers(0, 2, 400)})
    return Reference.fit(frame, task="binary", score="p", label="y", segments=("city",))


@pytest.fixture(scope="module")
def blob(reference) -> bytes:
    return reference.to_bytes()


def written(table, head, compression=None, duplicate=()):
    """A file of these parts, as somebody else may write it: without a hash."""
    arrays, names = [*table.columns, *(table.column(name) for name in duplicate)], [*table.column_names, *duplicate]
    made = pa.Table.from_arrays(arrays, names=names).replace_schema_metadata({KEY: head} if head is not None else {})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, made.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(made)
    return sink.getvalue().to_pybytes()


def forged(blob, head=(), **columns):
    """The file with other columns and another head."""
    table = pa.ipc.open_file(blob).read_all()
    raw = json.loads(table.schema.metadata[KEY]) | dict(head)
    for name, values in columns.items():
        kind = table.schema.field(name).type if not isinstance(values, pa.Array | pa.ChunkedArray) else None
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(values, kind) if kind is not None else values)
    return written(table, json.dumps(raw).encode())


def lists(blob, name, row, values):
    """A column's lists, with another in one row."""
    rows = pa.ipc.open_file(blob).read_all().column(name).to_pylist()
    rows[row] = values
    return {name: rows}


def test_a_forged_file_that_says_the_same_is_read(blob, reference):
    assert Reference.from_bytes(forged(blob)).id == reference.id


NAN, INF = float("nan"), float("inf")
AGE, CITY, SCORE = 0, 1, 2
#: Name -> what is changed, given the file, and what is said of it.
CONTRADICTIONS = {
    "edges that are NaN": (lambda b: forged(b, **lists(b, "edges", AGE, [NAN] * 52)), "NaN|nan"),
    "an infinite edge": (lambda b: forged(b, **lists(b, "edges", AGE, [1.0, INF])), "edge inf"),
    "an edge between float32": (lambda b: forged(b, **lists(b, "edges", AGE, [0.1])), r"edge 0\.1"),
    "edges that descend": (lambda b: forged(b, **lists(b, "edges", AGE, [2.0, 1.0])), "'age'.*ascend"),
    "too many edges": (lambda b: forged(b, **lists(b, "edges", AGE, [float(n) for n in range(300)])), "300 edges"),
    "edges of levels": (lambda b: forged(b, **lists(b, "edges", CITY, [1.0])), "'city'.*edges"),
    "no edges": (lambda b: forged(b, edges=[None] * 3), "edges|array"),
    "a count too few": (lambda b: forged(b, **lists(b, "counts", CITY, [1])), "counts for"),
    "a count below zero": (lambda b: forged(b, **lists(b, "counts", CITY, [-1, 401, 0, 0, 0])), "'city'.*-1"),
    "counts of other rows": (lambda b: forged(b, **lists(b, "counts", CITY, [1, 1, 1, 0, 0])), "'city'.*3 rows of 400"),
    "counts that overflow": (lambda b: forged(b, **lists(b, "counts", CITY, [2**62] * 5)), "'city'.*counts"),
    "two columns of a name": (lambda b: forged(b, name=["age", "age", "score"]), "two columns.*'age'"),
    "a name that is no feature": (lambda b: forged(b, name=["age", "town", "score"]), "town"),
    "no name": (lambda b: forged(b, name=["age", None, "score"]), "str"),
    "a role that is none": (lambda b: forged(b, role=["feature", "god", "prediction"]), "god"),
    "a feature that predicts": (lambda b: forged(b, role=["feature", "prediction", "prediction"]), "'city'.*role"),
    "another kind": (lambda b: forged(b, kind=["numeric", "boolean", "numeric"]), "'city'.*boolean"),
    "a level that stands twice": (lambda b: forged(b, **lists(b, "levels", CITY, ["a", "a", "b"])), "'a' stands twice"),
    "levels of numbers": (lambda b: forged(b, **lists(b, "levels", AGE, ["a"])), "'age'.*levels"),
    "a range that is empty": (lambda b: forged(b, low=[9.0, None, None], high=[1.0, None, None]), "range is 9"),
    "a range that is NaN": (lambda b: forged(b, low=pa.array([NAN, None, None])), "range is nan"),
    "an infinite centre": (lambda b: forged(b, centre=[INF, 0.0, 0.0]), "centre is inf"),
    "a scale of nothing": (lambda b: forged(b, scale=[0.0, 1.0, 1.0]), "scale is 0"),
    "a scale that rounds": (lambda b: forged(b, scale=[3.0, 1.0, 1.0]), "power of two"),
    "a spread below zero": (lambda b: forged(b, spread=[1.0, -1.0, 1.0]), "spread is -1"),
    "moments of one": (lambda b: forged(b, moments=[[1], [1, 2], [1, 2, 3]]), "inhomogeneous"),
    "extremes swapped": (lambda b: forged(b, extremes=[[2.0, 1.0]] * 3), "extremes"),
    "no rows": (lambda b: forged(b, {"rows": 0}), "rows is 0"),
    "rows without number": (lambda b: forged(b, {"rows": 2**63}), "rows"),
    "rows of a negative number": (lambda b: forged(b, {"held_out_rows": -1}), "held_out_rows is -1"),
    "a design effect too few": (lambda b: forged(b, {"design_effects": [1.0]}), "1 design effects"),
    "a design effect of nothing": (lambda b: forged(b, {"loss_design_effect": 0.0}), "design effect"),
    "label sums too few": (lambda b: forged(b, {"labels": [[1, 1, 1, 1]]}), "label sums"),
    "label sums of three": (lambda b: forged(b, {"labels": [[1, 1, 1]]}), "length 4"),
    "a share beyond one": (lambda b: forged(b, {"positive_share": [2.0]}), "predicted positive"),
    "a segment that is none": (lambda b: forged(b, {"segments": ["age"]}), "segment 'age'"),
    "a class that stands twice": (lambda b: forged(b, {"classes": ["1", "1"]}), "class '1'"),
    "a task that is none": (lambda b: forged(b, {"task": "chess"}), "chess"),
    "no schema": (lambda b: forged(b, {"schema": {"features": []}}), "at least one feature"),
    "another format": (lambda b: forged(b, {"format": 2}), "reference format 2, this version reads 1"),
    "a format that is text": (lambda b: forged(b, {"format": "1"}), "format"),
}


@pytest.mark.parametrize("fault", CONTRADICTIONS)
def test_what_contradicts_itself_is_refused_with_what_and_where(fault, blob):
    forge, said = CONTRADICTIONS[fault]
    with pytest.raises(NoReference, match=said) as refusal:
        Reference.from_bytes(forge(blob))
    assert "fit" in str(refusal.value) and len(str(refusal.value)) < 500


def bombs(blob):
    """Name and bytes of files that are small, or say that they are, and ask for much memory or time."""
    table = pa.ipc.open_file(blob).read_all()
    head = table.schema.metadata[KEY]
    yield from heads(table, head)
    yield from tables(table, head)
    yield "nothing at all", b""
    yield "bytes beyond the limit", blob + bytes(reference_file.BYTES_MAX)


def heads(table, head):
    """Files of another head."""
    yield "a head that is deep", written(table, b'{"format":1,"schema":' + b"[" * 3_000_000)
    yield "a head of lists", written(table, b'{"format":1,"labels":[' + b"[]," * 5_000_000 + b"[]]}")
    yield "a head of 18 MB", written(table, b'{"format":1,"x":[' + b"[]," * 6_000_000 + b"[]]}")
    yield "a head of notes", written(table, b'{"format":1,"notes":[' + b'"",' * 5_000_000 + b'""]}')
    yield "a head that is no JSON", written(table, b"\xff" * 1_000)
    yield "no head", written(table, None)
    features = b",".join(b'{"name":"%d"}' % n for n in [*range(900_000), 899_999])
    yield (
        "a million features, the last twice",
        written(
            table,
            head.replace(head[head.index(b'"features":[') : head.index(b"]}") + 2], b'"features":[%s]}' % features, 1),
        ),
    )


def tables(table, head):
    """Files of other columns."""
    many, rows = 12_000_000, table.num_rows

    def with_column(name, array):
        return table.set_column(table.schema.get_field_index(name), name, array)

    zeros = pa.ListArray.from_arrays(
        pa.array([0, many, many, many], pa.int32()), pa.nulls(many, pa.int64()).fill_null(0)
    )
    yield "a hundred megabytes of zeros under zstd", written(with_column("counts", zeros), head, "zstd")
    million = pa.ListArray.from_arrays(pa.array([0, 2**21, 2**21, 2**21], pa.int32()), pa.array([0] * 2**21))
    yield "two million counts", written(with_column("counts", million), head, "zstd")
    texts = pa.ListArray.from_arrays(pa.array([0, 2**21, 2**21, 2**21], pa.int32()), pa.array(["x"] * 2**21))
    yield "two million levels", written(with_column("others", texts), head, "zstd")
    yield "columns without number, all null", written(pa.table({"name": pa.nulls(2**30)}), head)
    wide = pa.table({name: table.column(name).take([0] * 400_000) for name in table.column_names if name == "centre"})
    yield "400,000 columns", written(wide, head, "zstd")
    yield "a column that stands twice", written(table, head, duplicate=("counts",))
    yield "names as numbers", written(with_column("name", pa.array([1] * rows)), head)
    yield "names as a dictionary", written(with_column("name", table.column("name").dictionary_encode()), head)
    yield "lists in lists", written(with_column("edges", pa.array([[[1.0]]] * rows)), head)
    yield "a column less", written(table.drop_columns(["spread"]), head)


_READ_ALL = """
import resource, sys, time
from pathlib import Path
from drift.reference.file import NoReference, read_file
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
read_file(Path(sys.argv[1]) / "good")
for path in sorted(Path(sys.argv[1]).glob("bomb*")):
    before, began = peak(), time.process_time()
    try:
        read_file(path)
        print("read", 0, 0, path.name)
    except NoReference as error:
        assert str(path) in str(error) and len(str(error)) < 600, error
        print("refused", round(peak() - before), round(time.process_time() - began), error)
"""


@pytest.mark.system  # memory by the gigabyte
def test_bombs_are_refused_within_memory_and_time(blob, tmp_path):
    (tmp_path / "good").write_bytes(blob)
    names = []
    for n, (name, value) in enumerate(bombs(blob)):
        (tmp_path / f"bomb{n:02}").write_bytes(value)
        names.append(name)
    run = subprocess.run(
        [sys.executable, "-c", _READ_ALL, str(tmp_path)], capture_output=True, text=True, timeout=600, check=False
    )
    assert run.returncode == 0, run.stderr
    ends = dict(zip(names, [line.split(" ", 3) for line in run.stdout.splitlines()], strict=True))
    assert {name for name, end in ends.items() if end[0] != "refused"} == set()
    assert {name: end for name, end in ends.items() if int(end[1]) > GROWTH_MB_MAX or int(end[2]) > 20} == {}


def same(one, other):
    return one.id == other.id and repr(one) == repr(other) and one.to_bytes() == other.to_bytes()


@pytest.mark.system  # hundreds of files
@pytest.mark.parametrize("seed", [1, 2])
def test_any_byte_that_changes_is_found_or_changes_nothing(seed, blob, reference):
    draw, refused = random.Random(seed), 0
    for _ in range(400):
        place, bit = draw.randrange(len(blob)), draw.choice([1, 2, 4, 8, 16, 32, 64, 128, 255])
        changed = bytearray(blob)
        changed[place] ^= bit
        try:
            read = Reference.from_bytes(bytes(changed))
        except NoReference:
            refused += 1
            continue
        assert same(read, reference), (place, bit)
    assert refused > 200


def test_any_part_of_a_file_is_refused_or_the_whole(blob, reference):
    stops = [*range(0, len(blob), 101), *range(len(blob) - 40, len(blob))]
    for stop in stops:
        try:
            read = Reference.from_bytes(blob[:stop])
        except NoReference:
            continue
        assert same(read, reference), stop


@pytest.mark.parametrize("seed", [1])
def test_a_stranger_who_leaves_out_the_hash_gets_a_refusal_or_a_reference_that_serves(seed, blob):
    plain, draw = forged(blob), random.Random(seed)
    for _ in range(400):
        changed = bytearray(plain)
        for _ in range(draw.choice([1, 1, 2, 5])):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        try:
            read = Reference.from_bytes(bytes(changed))
        except NoReference:
            continue
        assert Reference.from_bytes(read.to_bytes()).id == read.id
        assert repr(read) and len(read.expected) == len(read.counts) and read.grids and read.class_reader


def test_what_could_not_be_read_again_is_not_written(reference, monkeypatch):
    monkeypatch.setattr(reference_file, "HEAD_BYTES_MAX", 100)
    with pytest.raises(NoReference, match=r"too large a reference .*exclude columns"):
        reference.to_bytes()


def test_a_long_schema_with_a_name_twice_is_refused_at_once():
    features = tuple(Feature(f"x{n}") for n in [*range(200_000), 199_999])
    with pytest.raises(SchemaError, match="'x199999' stands twice"):
        FeatureSchema(features)
