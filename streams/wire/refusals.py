"""Refusals: why a record has no outcome but a dead letter."""

import re
from collections.abc import Sequence
from typing import Literal, get_args

import msgspec

Reason = Literal[
    "empty",
    "oversize",
    "undecodable",
    "unknown_schema",
    "unknown_format",
    "wrong_type",
    "missing_field",
    "no_known_feature",
    "unknown_model",
    "model_not_loaded",
    "impossible_timestamp",
    "impossible_id",
    "impossible_act",
    "model_failed",
    "unknown_prediction",
    "unknown_class",
    "impossible_value",
    "schema_conflict",
]
REASONS: tuple[str, ...] = get_args(Reason)

_BEFORE = re.compile(r"^\$(\[\d+\])?\.(features\.)?")
_GOT = re.compile(r"got `(str|float|int|bool|null|object|array)`$")


class Refusal(msgspec.Struct, frozen=True):
    """Why a record has no outcome but a dead letter: its position in the block, the reason, the field's path.

    ``model`` and ``ts`` are whose request it is and its event time in ms, where that could be read all the same.
    """

    at: int
    reason: Reason
    field: str
    detail: str
    model: str = ""
    ts: int | None = None

    def names(self, columns: Sequence[str]) -> tuple[str, str]:
        """Which of so many columns it is about, and what stood there instead of a value of its type; empty where none.

        >>> Refusal(0, "wrong_type", "$[7].features.age", "Expected `float`, got `str`").names(["age"])
        ('age', 'str')
        """
        path = _BEFORE.sub("", self.field)
        got = _GOT.search(self.detail) if self.reason == "wrong_type" else None
        return (path if path in columns else "", got[1] if got else "")


class Refused(Exception):
    """Why one record, or one row of it, is refused: reason, field, detail; whoever reads a block catches it."""

    def __init__(self, reason: Reason, field: str, detail: str) -> None:
        super().__init__(reason, field, detail)
