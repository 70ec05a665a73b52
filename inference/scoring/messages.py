"""Scored rows as messages: one prediction a request, one or more observation blocks a batch."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat

import msgspec
import numpy as np
import pyarrow as pa

from inference.packages.model_toml import ModelPackage
from inference.scoring.outputs import Answers, answers
from inference.serving.routing import Role
from inference.serving.scorer import Scores
from streams.wire.block import Block
from streams.wire.effects import Headers, Publish
from streams.wire.observation import MESSAGE_BYTES_MAX, Head, RefusedRequest, nothing, observed, split
from streams.wire.records import Prediction
from streams.wire.refusals import Refusal
from streams.wire.rows import Rows

_CARRIED = ("ce_", "traceparent", "tracestate")


class Scored(msgspec.Struct, frozen=True):
    """Rows of one block that one version scored at one batch shape, as that version saw them, and what it said of each;
    ``refused`` are the requests that it would have answered, too.
    """

    model: str
    version: str
    role: Role
    batch_rows: int
    rows: Rows
    answers: Answers
    refused: Sequence[RefusedRequest] = ()


def passed(rows: Rows, scores: Scores) -> tuple[Rows, Scores]:
    """The rows that did not fail, and their scores."""
    if not scores.failures:
        return rows, scores
    kept = np.array([n for n in range(len(rows)) if n not in scores.failures], np.int64)
    return rows.pick(kept), Scores(scores.values[kept], {}, scores.buckets[kept])


def scored_runs(
    package: ModelPackage, role: Role, rows: Rows, scores: Scores, refused: Sequence[RefusedRequest] = ()
) -> Iterator[Scored]:
    """Rows with what was said of each, cut where the batch shape changes.

    Parameters
    ----------
    package, role
        The version that scored, and what it was to these requests.
    rows
        Of one block, none of which failed.
    scores
        Of these rows.
    refused
        What the version's observations tell beside its rows.
    """
    if not len(rows):
        return
    ends = [*(np.flatnonzero(np.diff(scores.buckets)) + 1).tolist(), len(rows)]
    for first, stop in zip([0, *ends], ends, strict=False):
        some = rows if stop - first == len(rows) else rows.pick(np.arange(first, stop))
        answered, shape = answers(package, scores.values[first:stop]), int(scores.buckets[first])
        yield Scored(package.name, package.version, role, shape, some, answered, () if first else refused)


def predictions(scored: Scored, block: Block, now_ms: int | None) -> list[Publish]:
    """One message a row: the request's key and partition, its trace and CloudEvents headers, and how long it took.

    Parameters
    ----------
    now_ms
        When the scores were ready; adds the header ``latency_ms``, counted from Kafka's timestamp of the request.
    """
    rows, answers, encode = scored.rows, scored.answers, msgspec.json.Encoder().encode
    model, version, role, partition = scored.model, scored.version, scored.role, block.partition
    keys, carried, times, headers_of = block.keys, block.headers, block.times, _Headers(now_ms)
    chances: Iterable[dict[str, float] | None] = repeat(None, len(rows))
    if answers.probabilities is not None:
        chances = (dict(zip(answers.classes, each, strict=True)) for each in answers.probabilities.tolist())
    # Positional arguments, plain lists and local names: this loop runs once a request.
    columns = zip(
        rows.at.tolist(), rows.ids, rows.ts.tolist(), answers.score.tolist(), answers.texts(), chances, strict=True
    )
    out = []
    for at, id_, ts, score, text, scores in columns:
        value = encode(Prediction(id_, model, version, ts, score, text, role, scores))
        out.append(Publish("predictions", value, keys[at], partition, headers_of(carried[at], times[at]), at))
    return out


class _Headers:
    """Headers of predictions; requests of one time that carry nothing share one list."""

    def __init__(self, now_ms: int | None) -> None:
        self._now_ms = now_ms
        self._plain: dict[int, Headers | None] = {}

    def __call__(self, headers: Headers | None, kafka_ms: int) -> Headers | None:
        if headers and (carried := [header for header in headers if header[0].startswith(_CARRIED)]):
            return carried + (self._latency(kafka_ms) or [])
        try:
            return self._plain[kafka_ms]
        except KeyError:
            return self._plain.setdefault(kafka_ms, self._latency(kafka_ms))

    def _latency(self, kafka_ms: int) -> Headers | None:
        return None if self._now_ms is None else [("latency_ms", b"%d" % (self._now_ms - kafka_ms))]


def observations(scored: Scored, block: Block) -> list[Publish]:
    """The rows as Arrow blocks of at most `MESSAGE_BYTES_MAX`, on the source's partition number."""
    rows, answers = scored.rows, scored.answers
    codes = pa.nulls(len(rows), pa.int32()) if answers.codes is None else pa.array(answers.codes)
    offsets = np.asarray(block.offsets, np.int64)[rows.at]
    batch = observed(rows, offsets, answers.score, codes, answers.classes, scored.role)
    head = _head(scored.model, scored.version, scored.refused, block)
    return _split(msgspec.structs.replace(head, batch_rows=scored.batch_rows), batch, block)


def unanswered(model: str, version: str, refused: Sequence[RefusedRequest], block: Block) -> list[Publish]:
    """Requests that a version would have answered, where it answered none: observations without rows.

    Parameters
    ----------
    model, version
        Who would have answered.
    refused
        The requests, in any order.
    block
        That they came in.
    """
    return _split(_head(model, version, refused, block), nothing(), block)


def refused_request(block: Block, refusal: Refusal, columns: Sequence[str]) -> RefusedRequest:
    """A refusal as observations tell of it.

    Parameters
    ----------
    block
        That the request came in.
    refusal
        Why, at which record of the block, and which columns are at fault.
    columns
        The model's features, in its order.
    """
    return RefusedRequest.of(block, refusal.at, refusal.ts, refusal.reason, *refusal.names(columns))


def _head(model: str, version: str, refused: Sequence[RefusedRequest], block: Block) -> Head:
    return Head(
        model=model,
        version=version,
        topic=block.topic,
        partition=block.partition,
        first=block.first,
        last=block.last,
        refused=sorted(refused, key=lambda request: request.offset) or None,
    )


def _split(head: Head, batch: pa.RecordBatch, block: Block) -> list[Publish]:
    return [
        Publish("observations", value, partition=block.partition, at=bisect_left(block.offsets, part_head.first))
        for part_head, value in split(head, batch, MESSAGE_BYTES_MAX)
    ]
