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
#: What may stand where a value of another type is wanted; a closed set, for it names metrics.
KINDS = frozenset({"str", "float", "int", "bool", "null", "object", "array"})


class Refusal(msgspec.Struct, frozen=True):
    """Why a record has no outcome but a dead letter: its position in the block, the reason, the field's path.

    ``model`` and ``ts`` are whose request it is and its event time in ms, where that could be read all the same.
    ``got`` is what stands there instead of a value of the right type.
    """

    at: int
    reason: Reason
    field: str
    detail: str
    model: str = ""
    ts: int | None = None
    got: str = ""

    def names(self, columns: Sequence[str]) -> tuple[str, str]:
        """Which of so many columns it is about, and what stood there instead of a value of its type; empty where none.

        >>> Refusal(0, "wrong_type", "$[7].features.age", "no number", got="str").names(["age"])
        ('age', 'str')
        """
        path = _BEFORE.sub("", self.field)
        got = self.got if self.reason == "wrong_type" and self.got in KINDS else ""
        return (path if path in columns else "", got)


class Refused(Exception):
    """Why one record, or one row of it, is refused: reason, field, detail; whoever reads a block catches it.

    Parameters
    ----------
    reason, field, detail, got
        As in `Refusal`.
    """

    def __init__(self, reason: Reason, field: str, detail: str, got: str = "") -> None:
        super().__init__(reason, field, detail)
        self.got = got

    def at(self, position: int, model: str = "", ts: int | None = None) -> Refusal:
        """The refusal of the record at a position of its block.

        Parameters
        ----------
        position, model, ts
            As in `Refusal`.
        """
        reason, field, detail = self.args
        return Refusal(position, reason, field, detail, model, ts, self.got)
