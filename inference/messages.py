"""Scored rows as messages: one prediction a request, one or more observation blocks a batch."""

from bisect import bisect_left

import msgspec
import numpy as np
import pyarrow as pa

from inference.answers import Answers
from inference.routing import Role
from streams.block import Block
from streams.codec import Rows
from streams.observation import OWN, Head, arrow_schema, encode, feature_columns
from streams.records import Prediction
from streams.stage import Headers, Publish

MESSAGE_BYTES_MAX = 900_000

_CARRIED = ("ce_", "traceparent", "tracestate")


class Scored(msgspec.Struct, frozen=True):
    """Rows of one block that one version scored, as that version saw them, and what it said of each."""

    model: str
    version: str
    role: Role
    batch_rows: int
    rows: Rows
    said: Answers


def predictions(scored: Scored, block: Block, now_ms: int | None) -> list[Publish]:
    """One message a row: the request's key and partition, its trace and CloudEvents headers, and how long it took.

    Parameters
    ----------
    now_ms
        When the scores were ready; adds the header ``latency_ms``, counted from Kafka's timestamp of the request.
    """
    rows, said, encoder = scored.rows, scored.said, msgspec.json.Encoder()
    chances = None if said.probabilities is None else said.probabilities.tolist()
    headers_of = _Headers(now_ms)
    # Positional arguments and plain lists: this loop runs once a request.
    columns = zip(rows.at.tolist(), rows.ids, rows.ts.tolist(), said.score.tolist(), said.texts(), strict=True)
    out = []
    for n, (at, id_, ts, score, text) in enumerate(columns):
        scores = None if chances is None else dict(zip(said.classes, chances[n], strict=True))
        answer = Prediction(id_, scored.model, scored.version, ts, score, text, scored.role, scores)
        headers = headers_of(block.headers[at], block.times[at])
        out.append(Publish("predictions", encoder.encode(answer), block.keys[at], block.partition, headers, at))
    return out


class _Headers:
    """Headers of predictions; requests of one time that carry nothing share one list."""

    def __init__(self, now_ms: int | None) -> None:
        self._now_ms = now_ms
        self._plain: dict[int, Headers | None] = {}

    def __call__(self, own: Headers | None, kafka_ms: int) -> Headers | None:
        carried = [header for header in own if header[0].startswith(_CARRIED)] if own else []
        if carried:
            return carried + (self._latency(kafka_ms) or [])
        if kafka_ms not in self._plain:
            self._plain[kafka_ms] = self._latency(kafka_ms)
        return self._plain[kafka_ms]

    def _latency(self, kafka_ms: int) -> Headers | None:
        return None if self._now_ms is None else [("latency_ms", b"%d" % (self._now_ms - kafka_ms))]


def observations(scored: Scored, block: Block) -> list[Publish]:
    """The rows as Arrow blocks of at most `MESSAGE_BYTES_MAX`, on the source's partition number."""
    return _split(_batch(scored, block), scored, block)


def _batch(scored: Scored, block: Block) -> pa.RecordBatch:
    rows, said, n = scored.rows, scored.said, len(scored.rows)
    codes = pa.nulls(n, pa.int32()) if said.codes is None else pa.array(said.codes)
    own = [
        pa.array(rows.ids, pa.string()),
        pa.array(rows.ts, pa.int64()),
        pa.array(np.asarray(block.offsets, np.int64)[rows.at]),
        pa.array(rows.row, pa.int32()),
        pa.array(said.score, pa.float32()),
        pa.DictionaryArray.from_arrays(codes, pa.array(said.classes, pa.string())),
        pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([scored.role], pa.string())),
    ]
    assert len(own) == len(OWN), (len(own), len(OWN))
    features = feature_columns(rows.schema, rows.matrix, rows.unseen)
    return pa.RecordBatch.from_arrays([*own, *features], schema=arrow_schema(rows.schema))


def _split(batch: pa.RecordBatch, scored: Scored, block: Block) -> list[Publish]:
    offsets = batch.column("offset")
    head = Head(
        model=scored.model,
        version=scored.version,
        topic=block.topic,
        partition=block.partition,
        first=offsets[0].as_py(),
        last=offsets[-1].as_py(),
        batch_rows=scored.batch_rows,
    )
    value = encode(head, batch)
    if len(value) <= MESSAGE_BYTES_MAX or batch.num_rows == 1:
        at = bisect_left(block.offsets, head.first)
        return [Publish("observations", value, partition=block.partition, at=at)]
    half = batch.num_rows // 2
    return _split(batch.slice(0, half), scored, block) + _split(batch.slice(half), scored, block)
