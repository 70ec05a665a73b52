"""Observations that anybody may have written: read whole, or refused by name; never a crash, never memory at will."""

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.wire.arrow_bounds import UNPACKED_BYTES_MAX
from streams.wire.observation import (
    OWN,
    FormatError,
    Head,
    UnknownFormat,
    arrow_schema,
    decode,
    encode,
    feature_columns,
)
from streams.wire.schema import Feature, FeatureSchema

SCHEMA = FeatureSchema((Feature("age"), Feature("city", "categorical", categories=("Rome", "Oslo"))))
HEAD = Head(model="m", version="v1", topic="requests", partition=0, first=0, last=1)


def batch(**changed: pa.Array) -> pa.RecordBatch:
    said = pa.array(["1", "0"]).dictionary_encode()
    own = [["a", "b"], [7, 8], [0, 1], [0, 0], [0.5, 0.25], said, said]
    columns = [pa.array(v, t) if isinstance(v, list) else v for v, t in zip(own, OWN.types, strict=True)]
    columns += feature_columns(SCHEMA, np.array([[41.0, 1.0], [np.nan, 3.0]], np.float32), {})
    columns = [changed.get(name, column) for name, column in zip(arrow_schema(SCHEMA).names, columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, names=arrow_schema(SCHEMA).names)


def stream(batch: pa.RecordBatch, head: bytes | None = None, **options) -> bytes:
    """Any batch as a message, also one that we would not write."""
    metadata = {b"driftline": msgspec.json.encode(HEAD) if head is None else head}
    schema, sink = batch.schema.with_metadata(metadata), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_batch(batch.replace_schema_metadata(metadata))
    return sink.getvalue().to_pybytes()


def bad_text() -> pa.Array:
    """Two ids, the second of which is no UTF-8."""
    offsets, texts = np.array([0, 1, 3], np.int32), np.frombuffer(b"a\xff\xfe", np.uint8)
    return pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(offsets), pa.py_buffer(texts)])


def outside() -> pa.Array:
    """Classes whose codes lie outside of their dictionary."""
    codes = pa.array([0, 70_000_000], pa.int32())
    return pa.DictionaryArray.from_arrays(codes, pa.array(["1"]), safe=False)


STRANGE = {
    "garbage": b"\xff" * 64,
    "nothing": b"",
    "truncated": encode(HEAD, batch())[:-200],
    "no head": stream(batch(), b"[]"),
    "a text that is no UTF-8": stream(batch(id=bad_text())),
    "codes outside": stream(batch(prediction=outside())),
    "a row without a time": stream(batch(ts=pa.array([7, None], pa.int64()))),
    "a time as text": stream(batch(ts=pa.array(["7", "8"]))),
    "lists as a feature": stream(batch(age=pa.array([[1.0], []]))),
    "texts as a feature": stream(batch(age=pa.array(["7", "8"]))),
    "doubles as a feature": stream(batch(age=pa.array([1.0, 2.0], pa.float64()))),
    "columns missing": stream(pa.record_batch({"age": [1.0]})),
    "two of one name": stream(batch().rename_columns([*OWN.names, "age", "age"])),
    "unpacks to too much": stream(
        batch().append_column("x", pa.array([b"\0" * (UNPACKED_BYTES_MAX + 1), b""])), compression="zstd"
    ),
}


def test_what_we_write_is_read():
    head, read = decode(encode(HEAD, batch()))
    assert head == HEAD
    assert read.equals(batch())


@pytest.mark.parametrize("value", STRANGE.values(), ids=STRANGE)
def test_what_is_strange_is_refused_by_name(value):
    with pytest.raises(FormatError, match="observation block"):
        decode(value)


def test_another_format_is_another_fault():
    with pytest.raises(UnknownFormat, match="format 7, this version reads 1"):
        decode(encode(msgspec.structs.replace(HEAD, format=7), batch()))


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
def test_a_damaged_message_is_read_or_refused(at, damage):
    value = bytearray(encode(HEAD, batch()))
    at %= len(value)
    value[at : at + len(damage)] = damage[: len(value) - at]
    try:
        _, read = decode(bytes(value))
    except FormatError:
        return
    assert read.to_pydict()
