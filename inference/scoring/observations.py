"""Scored rows as observations, one or more Arrow blocks a batch; and requests that were refused."""

from bisect import bisect_left
from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa

from inference.scoring.messages import Scored
from streams.wire.block import Block
from streams.wire.effects import Publish
from streams.wire.observation import MESSAGE_BYTES_MAX, Head, RefusedRequest, nothing, observed, split
from streams.wire.refusals import Refusal


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
