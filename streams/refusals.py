"""Refusals: why a record has no outcome but a dead letter."""

from typing import Literal, get_args

import msgspec

Reason = Literal[
    "empty",
    "oversize",
    "undecodable",
    "unknown_schema",
    "wrong_type",
    "missing_field",
    "unknown_model",
    "impossible_timestamp",
    "impossible_id",
    "model_failed",
    "unknown_prediction",
]
REASONS: tuple[str, ...] = get_args(Reason)


class Refusal(msgspec.Struct, frozen=True):
    """Why a record has no outcome but a dead letter: its position in the block, the reason, the field's path."""

    at: int
    reason: Reason
    field: str
    detail: str


class Refused(Exception):
    """Why one record, or one row of it, is refused: reason, field, detail; whoever reads a block catches it."""

    def __init__(self, reason: Reason, field: str, detail: str) -> None:
        super().__init__(reason, field, detail)
