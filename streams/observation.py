"""Observations: what was seen and said, as Arrow blocks for those who watch.

One Kafka message is one Arrow IPC stream of one record batch, zstd inside, with a `Head` in its schema
metadata. Own columns come first, then the features in schema order: float32 for numeric, bool for boolean,
dictionary-encoded text for categorical; null is null, and a level that the model does not know keeps its
text.
"""

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from streams.records import FORMAT
from streams.schema import FeatureSchema

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


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Where a block of observations came from: the requests' topic, partition and offsets, and the shape the
    model ran at.
    """

    model: str
    version: str
    topic: str
    partition: int
    first: int
    last: int
    batch_rows: int = 0
    format: int = FORMAT


class FormatError(ValueError):
    """A block that is no observation, or of a format number that this version does not know."""


def arrow_schema(schema: FeatureSchema) -> pa.Schema:
    """Columns of an observation of a model with this feature schema."""
    kinds = {"numeric": pa.float32(), "boolean": pa.bool_(), "categorical": OWN.field("prediction").type}
    return pa.schema([*OWN, *((f.name, kinds[f.kind]) for f in schema.features)])


def feature_columns(schema: FeatureSchema, matrix: np.ndarray, unseen: dict[int, dict[int, str]]) -> list[pa.Array]:
    """Turn a schema's float32 matrix (see `streams.schema`) back into the columns that observations carry.

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
            columns.append(pa.array(values, mask=np.isnan(values)))
        elif feature.kind == "boolean":
            columns.append(pa.array(values == 1, mask=np.isnan(values)))
        else:
            columns.append(_levels(values.astype(np.int32), feature.categories, unseen.get(j, {})))
    return columns


def _levels(codes: np.ndarray, categories: tuple[str, ...], unseen: dict[int, str]) -> pa.Array:
    null = codes == len(categories) + 1
    texts = list(categories)
    place: dict[str, int] = {}
    for row, text in unseen.items():
        if text not in place:
            place[text] = len(texts)
            texts.append(text)
        codes[row] = place[text]
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=null), pa.array(texts, pa.string()))


def encode(head: Head, batch: pa.RecordBatch) -> bytes:
    """Write one observation message."""
    stamped = batch.replace_schema_metadata({_HEAD_KEY: msgspec.json.encode(head)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, stamped.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_batch(stamped)
    value: bytes = sink.getvalue().to_pybytes()
    return value


def decode(value: bytes) -> tuple[Head, pa.RecordBatch]:
    """Read one observation message.

    Raises
    ------
    FormatError
        Not an Arrow stream of ours, or a format number from the future.

    >>> head = Head(model="m", version="v1", topic="requests", partition=0, first=7, last=7)
    >>> own = ["a", 0, 7, 0, 0.5, "1", "champion"]
    >>> batch = pa.RecordBatch.from_arrays([pa.array([v], t) for v, t in zip(own, OWN.types)], schema=OWN)
    >>> decode(encode(head, batch))[0] == head
    True
    """
    try:
        with pa.ipc.open_stream(value) as reader:
            metadata: dict[bytes, bytes] = reader.schema.metadata or {}
            head = msgspec.json.decode(metadata[_HEAD_KEY], type=Head)
            batch: Any = reader.read_next_batch()
    except (pa.ArrowInvalid, OSError, KeyError, StopIteration, msgspec.MsgspecError) as error:
        raise FormatError(f"not an observation block: {error}; was something else written to the topic?") from error
    if head.format != FORMAT:
        raise FormatError(f"observation format {head.format}, this version reads {FORMAT}; upgrade the monitor")
    return head, batch.replace_schema_metadata(None)
