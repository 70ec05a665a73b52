"""What a request costs to decode, by format: nanoseconds a row, and the ratio to JSON measured in the same run.

    python benchmarks/formats.py [--features 20] [--rows 5000]

Every format decodes the same rows into the same matrix; the best of several passes counts, in CPU time of one thread.
"""

import argparse
import io
import json
import platform
import time
from importlib import metadata

import fastavro
import numpy as np
import pyarrow as pa

from streams.formats.decoder import Decoder
from streams.formats.json import JsonDecoder
from streams.wire.block import Block
from streams.wire.schema import Feature, FeatureSchema

PASSES = 9
NOW_MS = 1_700_000_000_000


class Known:
    """A registry that has one schema, by heart."""

    def __init__(self, schema: dict) -> None:
        self._schema = fastavro.parse_schema(schema)

    def schema(self, number: int) -> object:  # noqa: ARG002
        return self._schema


def cpu_ns(decode, block: Block, rows: int) -> tuple[float, np.ndarray]:
    best = float("inf")
    for _ in range(PASSES):
        began = time.process_time_ns()
        found, refused = decode(block)
        best = min(best, (time.process_time_ns() - began) / rows)
        assert not refused, refused[0]
    return best, found["m"].matrix


def avro(values: np.ndarray, names: list[str]) -> tuple[list[bytes], Known]:
    fields = [{"name": "id", "type": "string"}, *({"name": name, "type": "float"} for name in names)]
    schema = {"type": "record", "name": "Request", "fields": fields}
    parsed, out = fastavro.parse_schema(schema), []
    for n, row in enumerate(values.tolist()):
        stream = io.BytesIO(b"\0\0\0\0\1")
        stream.seek(5)
        fastavro.schemaless_writer(stream, parsed, {"id": f"r{n}", **dict(zip(names, row, strict=True))})
        out.append(stream.getvalue())
    return out, Known(schema)


def arrow(values: np.ndarray, names: list[str], own_ids: bool) -> bytes:
    columns = {name: values[:, j] for j, name in enumerate(names)}
    batch = pa.record_batch(columns | ({"id": [f"r{n}" for n in range(len(values))]} if own_ids else {}))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--features", type=int, default=20)
    asked.add_argument("--rows", type=int, default=5_000)
    asked.add_argument("--seed", type=int, default=7)
    args = asked.parse_args()
    names = [f"feature_{j}" for j in range(args.features)]
    schema = FeatureSchema(tuple(Feature(name, required=j % 2 == 0) for j, name in enumerate(names)))
    values = np.random.default_rng(args.seed).normal(size=(args.rows, args.features)).astype(np.float32)
    rows = [dict(zip(names, row, strict=True)) for row in values.tolist()]
    flat = [json.dumps({"id": f"r{n}", **row}).encode() for n, row in enumerate(rows)]
    nested = [json.dumps({"id": f"r{n}", "features": row}).encode() for n, row in enumerate(rows)]
    framed, known = avro(values, names)

    def one(_):
        return "m", schema

    fixed = {"json": JsonDecoder(one), "packed": Decoder(one, format="packed")}
    auto = Decoder(one, registry=known)
    batches = [values[start : start + 250] for start in range(0, args.rows, 250)]
    tried = {
        "JSON, flat": (fixed["json"], flat),
        "JSON, features in an object": (fixed["json"], nested),
        "JSON, format = auto": (auto, nested),
        "Avro, Confluent's frame": (auto, framed),
        "Arrow, 250 rows a message": (auto, [arrow(batch, names, own_ids=False) for batch in batches]),
        "Arrow, 250 rows with ids": (auto, [arrow(batch, names, own_ids=True) for batch in batches]),
        "packed, a row a message": (fixed["packed"], [row.tobytes() for row in values]),
        "packed, 250 rows a message": (fixed["packed"], [batch.tobytes() for batch in batches]),
    }
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("msgspec", "fastavro", "pyarrow", "numpy"))
    print(f"{args.features} features, {args.rows:,} rows, seed {args.seed}")
    print(f"Python {platform.python_version()}, {versions}")
    print(f"{'format':<30}{'ns a row':>10}{'rows/s':>12}{'of JSON':>9}{'bytes a row':>13}")
    base = None
    for name, (decode, messages) in tried.items():
        block = Block.of("requests", 0, messages, time=NOW_MS)
        ns, matrix = cpu_ns(decode, block, args.rows)
        assert np.array_equal(matrix, values), name
        base = base or ns
        size = sum(map(len, messages)) / args.rows
        print(f"{name:<30}{ns:>10,.0f}{1e9 / ns:>12,.0f}{ns / base:>8.2f}x{size:>13,.0f}")


if __name__ == "__main__":
    main()
