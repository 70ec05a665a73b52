"""Observations: what was seen and said, as Arrow blocks for those who watch.

One Kafka message is one Arrow IPC stream of one record batch, with a `Head` in its schema metadata. It is plain inside:
the producer compresses whole batches of messages, outside of Python's lock, and a second time costs ten times what the
writing does. Own columns come first, then the features in schema order: float32 for numeric, bool for boolean,
dictionary-encoded text for categorical; null is null, and a level that the model does not know keeps its
text.
"""

from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal, Self

import msgspec
import numpy as np
import pyarrow as pa

from streams.wire.arrow_bounds import UNPACKED_BYTES_MAX, unpacked_bytes
from streams.wire.block import Block
from streams.wire.records import FORMAT
from streams.wire.rows import Rows
from streams.wire.schema import FeatureSchema

#: Own columns of every observation, in order. `ts` is event time, `offset` and `row` the request's place in
#: `Head.topic`/`Head.partition`.
OWN = pa.schema(
    [
        ("id", pa.string()),
        ("ts", pa.int64()),
        ("offset", pa.int64()),
        ("row", pa.int32()),
        ("score", pa.float32()),
        ("prediction", pa.dictionary(pa.int32(), pa.string())),
        ("route", pa.dictionary(pa.int32(), pa.string())),
    ]
)

_HEAD_KEY = b"driftline"

# A block's columns are written in 50 us; handing them to a pool of threads and waiting for it takes longer.
_WRITE = pa.ipc.IpcWriteOptions(use_threads=False)
_READ = pa.ipc.IpcReadOptions(use_threads=False)

MESSAGE_BYTES_MAX = 900_000

#: What the library raises for bytes that are none of its own; some of it is no `ValueError`.
_NO_ARROW = (pa.ArrowException, OSError, ValueError, KeyError, StopIteration, MemoryError, msgspec.MsgspecError)
_ALWAYS = ("id", "ts", "offset", "row")
_FEATURE_TYPES = frozenset([pa.float32(), pa.bool_(), pa.dictionary(pa.int32(), pa.string())])

Silence = Literal["", "idle", "asleep"]


class RefusedRequest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A request that was refused: its offset, and when. A time that cannot be read is Kafka's, and not ``dated``.

    ``reason``, ``column`` and ``got`` are as in `streams.wire.records.RefusedCount`.
    """

    offset: int
    ts: int
    dated: bool
    reason: str
    column: str
    got: str

    @classmethod
    def of(cls, block: Block, at: int, ts: int | None, reason: str, column: str, got: str) -> Self:
        """A request of a block; ``ts`` is None where its time cannot be read.

        Parameters
        ----------
        at
            Position of the request in the block.
        ts
            Its event time, ms; None where that cannot be read.
        column
            Feature at fault; empty where it is none.
        got
            What stood there, in words.
        """
        when = (block.times[at], False) if ts is None else (ts, True)
        return cls(block.offsets[at], *when, reason, column, got)


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Where a block of observations came from: the requests' topic, partition and offsets, and the shape the
    model ran at.

    ``refused`` are those of its requests that became no rows, in order; there may be no others.

    Of a topic that is watched, and not served by us, it says how many ``partitions`` that has, and a block without rows
    says that the partition has fallen silent, and when that was seen (`streams.wire.records.Idle`).
    """

    model: str
    version: str
    topic: str
    partition: int
    first: int
    last: int
    batch_rows: int = 0
    partitions: int = 0
    silence: Silence = ""
    at_ms: int | None = None
    refused: list[RefusedRequest] | None = None
    format: int = FORMAT


class FormatError(ValueError):
    """A block that is no observation, or of a format number that this version does not know."""


class UnknownFormat(FormatError):
    """A block whose format number this version does not know."""


def arrow_schema(schema: FeatureSchema) -> pa.Schema:
    """Columns of an observation of a model with this feature schema."""
    kinds = {"numeric": pa.float32(), "boolean": pa.bool_(), "categorical": OWN.field("prediction").type}
    return pa.schema([*OWN, *((f.name, kinds[f.kind]) for f in schema.features)])


def feature_columns(schema: FeatureSchema, matrix: np.ndarray, unseen: dict[int, dict[int, str]]) -> list[pa.Array]:
    """Turn a schema's float32 matrix (see `streams.wire.schema`) back into the columns that observations carry.

    Parameters
    ----------
    matrix
        float32 [rows, features].
    unseen
        Per categorical column: row -> text of a level outside its categories.
    """
    columns: list[pa.Array] = []
    for j, feature in enumerate(schema.features):
        values = np.ascontiguousarray(matrix[:, j])
        if feature.kind == "numeric":
            columns.append(pa.array(values, from_pandas=True))  # NaN is null
        elif feature.kind == "boolean":
            columns.append(pa.array(values == 1, mask=np.isnan(values)))
        else:
            columns.append(_levels(values.astype(np.int32), feature.categories, unseen.get(j, {})))
    return columns


def _levels(codes: np.ndarray, categories: tuple[str, ...], unseen: dict[int, str]) -> pa.Array:
    null = codes == len(categories) + 1
    texts = list(categories)
    position: dict[str, int] = {}
    for row, text in unseen.items():
        if text not in position:
            position[text] = len(texts)
            texts.append(text)
        codes[row] = position[text]
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=null), pa.array(texts, pa.string()))


def observed(
    rows: Rows, offsets: np.ndarray, score: np.ndarray, codes: pa.Array, classes: tuple[str, ...], route: str
) -> pa.RecordBatch:
    """Put rows and what was said of them into the columns of an observation.

    Parameters
    ----------
    offsets
        int64 [rows].
    score
        float32 [rows].
    codes, classes
        int32 [rows], each row's place in ``classes``; null where no class was said.
    route
        What the version that spoke was.
    """
    n = len(rows)
    columns = [
        pa.array(rows.ids, pa.string()),
        pa.array(rows.ts, pa.int64()),
        pa.array(offsets, pa.int64()),
        pa.array(rows.row, pa.int32()),
        pa.array(score, pa.float32()),
        pa.DictionaryArray.from_arrays(codes, pa.array(classes, pa.string())),
        pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([route], pa.string())),
    ]
    assert len(columns) == len(OWN), (len(columns), len(OWN))
    features = feature_columns(rows.schema, rows.matrix, rows.unseen)
    return pa.RecordBatch.from_arrays([*columns, *features], schema=arrow_schema(rows.schema))


def split(head: Head, batch: pa.RecordBatch, bytes_max: int = MESSAGE_BYTES_MAX) -> Iterator[tuple[Head, bytes]]:
    """Write a batch as messages of at most so many bytes, each with the head of its own offsets.

    Parameters
    ----------
    head
        What the messages have in common; offsets and refusals are dealt out to them.
    batch
        Rows in order of their offsets.
    bytes_max
        Size of a message at most; a batch of more is halved.
    """
    offsets, refused = batch.column("offset"), head.refused or []
    offsets_held = [offsets[0].as_py(), offsets[-1].as_py()] if batch.num_rows else []
    offsets_held += [refused[0].offset, refused[-1].offset] if refused else []
    head = msgspec.structs.replace(head, first=min(offsets_held), last=max(offsets_held))
    value = encode(head, batch)
    if len(value) <= bytes_max or batch.num_rows + len(refused) == 1:
        yield head, value
        return
    row, at = batch.num_rows // 2, len(refused) // 2
    if row:  # what is refused goes with the rows that it stands among
        at = bisect_left(refused, offsets[row].as_py(), key=lambda request: request.offset)
    elif batch.num_rows:
        row = int(offsets[0].as_py() <= refused[max(at - 1, 0)].offset)
        at = at or 1 - row
    for rows, others in ((batch.slice(0, row), refused[:at]), (batch.slice(row), refused[at:])):
        if rows.num_rows or others:
            yield from split(msgspec.structs.replace(head, refused=others or None), rows, bytes_max)


def nothing() -> pa.RecordBatch:
    """No rows, for a head that has something to say all the same."""
    return pa.RecordBatch.from_pylist([], schema=OWN)


def encode(head: Head, batch: pa.RecordBatch) -> bytes:
    """Write one observation message."""
    stamped = batch.replace_schema_metadata({_HEAD_KEY: msgspec.json.encode(head)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, stamped.schema, options=_WRITE) as writer:
        writer.write_batch(stamped)
    value: bytes = sink.getvalue().to_pybytes()
    return value


def decode(value: bytes) -> tuple[Head, pa.RecordBatch]:
    """Read one observation message; it need not be one, and may be written by anybody.

    Raises
    ------
    FormatError
        Not an Arrow stream of ours, one that unpacks to too much, or a format number from the future.

    >>> head = Head(model="m", version="v1", topic="requests", partition=0, first=7, last=7)
    >>> own = ["a", 0, 7, 0, 0.5, "1", "champion"]
    >>> batch = pa.RecordBatch.from_arrays([pa.array([v], t) for v, t in zip(own, OWN.types)], schema=OWN)
    >>> decode(encode(head, batch))[0] == head
    True
    """
    try:
        if (size := unpacked_bytes(pa.py_buffer(value))) > UNPACKED_BYTES_MAX:
            raise FormatError(
                f"an observation block that unpacks to {size} bytes, at most {UNPACKED_BYTES_MAX} are read"
            )
        with pa.ipc.open_stream(value, options=_READ) as reader:
            metadata: dict[bytes, bytes] = reader.schema.metadata or {}
            head = msgspec.json.decode(metadata[_HEAD_KEY], type=Head)
            if head.format != FORMAT:
                raise UnknownFormat(f"observation format {head.format}, this version reads {FORMAT}")
            batch: Any = reader.read_next_batch()
        batch.validate(full=True)  # else a strange offset is read outside of the buffers
        bare = batch.replace_schema_metadata(None)
        _check_columns(bare.schema)
        for name in _ALWAYS:
            if bare.column(name).null_count:
                raise FormatError(f"an observation block has rows without {name}")
    except FormatError:
        raise
    except _NO_ARROW as error:
        raise FormatError(f"not an observation block: {error}; was something else written to the topic?") from error
    return head, bare


@lru_cache(maxsize=256)
def _check_columns(schema: pa.Schema) -> None:
    """Own columns first; then features, of the types that observations have, each with a name of its own."""
    names, types = schema.names, schema.types
    if names[: len(OWN)] != OWN.names or types[: len(OWN)] != OWN.types:
        raise FormatError(
            f"an observation block begins with the columns {', '.join(OWN.names)}, this one with {names[:9]}"
        )
    features = list(zip(names, types, strict=True))[len(OWN) :]
    strange = [name for name, kind in features if kind not in _FEATURE_TYPES]
    if strange or len(set(names)) < len(names):
        raise FormatError(
            f"an observation block's features are numbers, levels or flags with a name each: {strange[:9]}"
        )
