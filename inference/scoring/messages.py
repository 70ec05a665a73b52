"""Scored rows, and one prediction a request."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from inference.packages.model_toml import ModelPackage
from inference.scoring.outputs import Answers, answers
from inference.serving.routing import Role
from inference.serving.scorer import Scores
from streams.wire.block import Block
from streams.wire.effects import Headers, Publish
from streams.wire.records import Prediction
from streams.wire.rows import Rows

if TYPE_CHECKING:  # these messages are made where there is no Arrow, too
    from streams.wire.observation import RefusedRequest

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
    refused: Sequence["RefusedRequest"] = ()


def passed(rows: Rows, scores: Scores) -> tuple[Rows, Scores]:
    """The rows that did not fail, and their scores."""
    if not scores.failures:
        return rows, scores
    kept = np.array([n for n in range(len(rows)) if n not in scores.failures], np.int64)
    return rows.pick(kept), Scores(scores.values[kept], {}, scores.buckets[kept])


def scored_runs(
    package: ModelPackage, role: Role, rows: Rows, scores: Scores, refused: Sequence["RefusedRequest"] = ()
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
    rows, answers, at = scored.rows, scored.answers, scored.rows.at.tolist()
    version, partition = (repeat(scored.model), repeat(scored.version)), repeat(block.partition)
    chances: Iterable[dict[str, float] | None] = repeat(None)
    if answers.probabilities is not None:
        chances = (dict(zip(answers.classes, each, strict=True)) for each in answers.probabilities.tolist())
    # By `map` from columns, positional arguments: this runs once a request, and a loop of Python's costs as much again.
    answered = map(
        Prediction,
        *(rows.ids, *version, rows.ts.tolist(), answers.score.tolist(), answers.texts(), repeat(scored.role), chances),
    )
    values = map(msgspec.json.Encoder().encode, answered)
    keys, headers = map(block.keys.__getitem__, at), _headers(block, at, now_ms)
    return list(map(Publish, repeat("predictions"), values, keys, partition, headers, at))


def _headers(block: Block, at: list[int], now_ms: int | None) -> Iterable[Headers | None]:
    """Headers of predictions; requests of one time that carry nothing share one list."""
    times = list(map(block.times.__getitem__, at))
    plain = {
        kafka_ms: None if now_ms is None else [("latency_ms", b"%d" % (now_ms - kafka_ms))] for kafka_ms in set(times)
    }
    latencies = map(plain.__getitem__, times)
    if not any(block.headers):
        return latencies
    return [
        [*carried, *(latency or ())] if (carried := _carried(block.headers[n])) else latency
        for n, latency in zip(at, latencies, strict=True)
    ]


def _carried(headers: Headers | None) -> Headers:
    return [header for header in headers or () if header[0].startswith(_CARRIED)]
