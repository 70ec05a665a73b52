"""What decoding costs a row, by format: blocks in memory, no broker."""

import io
import os
import statistics
import sys
import time
from collections.abc import Callable

import fastavro
import msgspec
import numpy as np
import pyarrow as pa

from benchmarks.log.arena import Arena, Result
from benchmarks.log.rows import Sizes
from benchmarks.log.traffic import FEATURES, requests
from streams.formats.decoder import Decoder
from streams.wire.block import Block
from streams.wire.schema import Feature, FeatureSchema

_ROWS = 5_000
_ROWS_A_MESSAGE = 100
_AVRO = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Request",
        "fields": [{"name": "id", "type": "string"}, *({"name": name, "type": "float"} for name in FEATURES)],
    }
)


class _OneSchema:
    """A registry that knows one schema, and is never asked over a network."""

    def schema(self, number: int) -> object:  # noqa: ARG002
        return _AVRO


def formats(arena: Arena, sizes: Sizes) -> list[Result]:
    """CPU microseconds a row of each format, the median of so many decodings; JSON's is the yardstick."""
    load = os.getloadavg()[0]
    schema = FeatureSchema(tuple(Feature(name) for name in FEATURES))
    decode = Decoder(lambda model: ("mlp", schema), registry=_OneSchema())
    blocks = _blocks(arena.seed)
    took = {name: _took(decode, block, 10 * sizes.runs) for name, block in blocks.items()}
    for name, several in took.items():
        print(f"  {name:<28}{statistics.median(several):>7.2f} us of CPU a row", file=sys.stderr)
    return [
        Result(
            name=f"decoding {name}",
            unit="us",
            value=statistics.median(several),
            low=min(several),
            high=max(several),
            goal="stated",
            met=None,
            load_before=load,
            measured={},
            note=f"{len(blocks[name].values[0] or b'') * len(blocks[name]) / _ROWS:.0f} bytes a row",
        )
        for name, several in took.items()
    ]


def _blocks(seed: int) -> dict[str, Block]:
    """The same rows in every format."""
    flat = list(requests(_ROWS, seed))
    rows = [msgspec.json.decode(value) for value in flat]
    ids = [row.pop("id") for row in rows]
    matrix = np.array([[row[name] for name in FEATURES] for row in rows], "<f4")
    nested = [msgspec.json.encode({"id": id_, "features": row}) for id_, row in zip(ids, rows, strict=True)]
    parts = range(0, _ROWS, _ROWS_A_MESSAGE)
    many = f", {_ROWS_A_MESSAGE} rows a message"
    packed = Block.of("requests", 0, [matrix[first : first + _ROWS_A_MESSAGE].tobytes() for first in parts])
    named = [[("content-type", b"application/vnd.driftline.float32")]] * len(packed)
    return {
        "JSON, flat": Block.of("requests", 0, flat),
        "JSON, an object of features": Block.of("requests", 0, nested),
        "Avro": Block.of("requests", 0, [_framed({"id": i, **row}) for i, row in zip(ids, rows, strict=True)]),
        "float32" + many: msgspec.structs.replace(packed, headers=named),
        "Arrow" + many: Block.of("requests", 0, [_arrow(ids, matrix, first) for first in parts]),
    }


def _framed(row: dict[str, object]) -> bytes:
    out = io.BytesIO(b"\0\0\0\0\1")
    out.seek(5)
    fastavro.schemaless_writer(out, _AVRO, row)
    return out.getvalue()


def _arrow(ids: list[str], matrix: np.ndarray, first: int) -> bytes:
    own = slice(first, first + _ROWS_A_MESSAGE)
    columns = {name: matrix[own, k].copy() for k, name in enumerate(FEATURES)}
    batch = pa.RecordBatch.from_pydict({"id": ids[own], **columns})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def _took(decode: Callable[[Block], tuple[dict, list]], block: Block, times: int) -> list[float]:
    rows, refused = decode(block)
    assert len(rows["mlp"]) == _ROWS, refused[:1]
    found = []
    for _ in range(times):
        began = time.thread_time()
        decode(block)
        found.append((time.thread_time() - began) / _ROWS * 1e6)
    return found
