"""Rows: decoded requests of one model, a column a feature."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from streams.wire.schema import Feature, FeatureSchema
from streams.wire.spelling import BOOLEAN_TEXTS, Levels, boolean_of, level_text


class Rows(msgspec.Struct, frozen=True):
    """Decoded requests of one model, in block order.

    Attributes
    ----------
    matrix
        float32 [rows, features]; see `streams.wire.schema`.
    unseen
        Per categorical column: row -> text of a level outside its categories.
    ids
        Request id, else ``topic/partition/offset``.
    ts
        int64 [rows], event time in ms.
    at
        int64 [rows], position in the block.
    row
        int32 [rows], place within the message; 0 but for messages of many requests.
    """

    schema: FeatureSchema
    matrix: np.ndarray
    unseen: dict[int, dict[int, str]]
    ids: list[str]
    ts: np.ndarray
    at: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def pick(self, chosen: np.ndarray) -> "Rows":
        """Some of the rows, by position: int64, ascending."""
        if len(chosen) == len(self):
            return self
        new_row = {int(old): new for new, old in enumerate(chosen)}
        return Rows(
            self.schema,
            self.matrix[chosen],
            {j: {new_row[n]: text for n, text in texts.items() if n in new_row} for j, texts in self.unseen.items()},
            [self.ids[n] for n in chosen],
            self.ts[chosen],
            self.at[chosen],
            self.row[chosen],
        )


def without_values(rows: Rows) -> np.ndarray:
    """Positions, int64, of rows that hold no value at all; none where the schema requires one."""
    if any(feature.required for feature in rows.schema.features):
        return np.empty(0, np.int64)
    left = np.arange(len(rows))
    for j, feature in enumerate(rows.schema.features):
        column = rows.matrix[left, j]
        left = left[column == feature.null_code if feature.kind == "categorical" else np.isnan(column)]
        if not len(left):
            break
    return left


class Gathering:
    """Rows of one model on their way into columns: some as columns already, others a record a row."""

    def __init__(self, schema: FeatureSchema) -> None:
        self.schema = schema
        self.at: list[int] = []
        self._ids: list[str] = []
        self._ts: list[int] = []
        self._columns: Sequence[Sequence[Any]] = ()
        self._features: list[tuple[Any, ...]] = []

    def add_all(self, at: list[int], ids: list[str], ts: list[int], columns: Sequence[Sequence[Any]]) -> None:
        """Add rows before all others: their values by feature, in schema order.

        Parameters
        ----------
        at
            Positions of the records in their block, ascending.
        ts
            Event times, ms.
        columns
            By feature in schema order, the value of each row.
        """
        self.at, self._ids, self._ts, self._columns = at, ids, ts, columns

    def add(self, at: int, id_: str, ts: int, features: tuple[Any, ...]) -> None:
        """Add a row: its values in schema order.

        Parameters
        ----------
        at
            Position of the record in its block.
        ts
            Event time, ms.
        features
            Values in schema order; None where one is missing.
        """
        self.at.append(at)
        self._ids.append(id_)
        self._ts.append(ts)
        self._features.append(features)

    def rows(self) -> Rows:
        """All that were added, in block order."""
        if self._columns and self._features:
            self._put_in_order()
        columns = self._columns or list(zip(*self._features, strict=True))
        n = len(self.at)
        matrix = np.empty((n, len(self.schema)), np.float32)
        unseen: dict[int, dict[int, str]] = {}
        for j, (feature, column) in enumerate(zip(self.schema.features, columns, strict=True)):
            if feature.kind == "categorical":
                matrix[:, j], strange = categorical_codes(feature, column)
                if strange:
                    unseen[j] = strange
            elif feature.kind == "boolean":
                matrix[:, j] = truth_values(column)
            else:
                with np.errstate(over="ignore"):  # beyond float32 is infinity, a cell of its own
                    matrix[:, j] = np.array(column, np.float64)
        at, ts = np.array(self.at, np.int64), np.array(self._ts, np.int64)
        return Rows(self.schema, matrix, unseen, self._ids, ts, at, np.zeros(n, np.int32))

    def _put_in_order(self) -> None:
        features = [*zip(*self._columns, strict=True), *self._features]
        order = sorted(range(len(self.at)), key=self.at.__getitem__)
        self.at, self._ts = [self.at[n] for n in order], [self._ts[n] for n in order]
        self._ids, self._features, self._columns = [self._ids[n] for n in order], [features[n] for n in order], ()


def categorical_codes(feature: Feature, column: Sequence[Any]) -> tuple[list[int], dict[int, str]]:
    """Codes of a categorical column as the matrix holds them, and the texts of unknown levels by row.

    >>> categorical_codes(Feature("c", "categorical", categories=("16", "17")), [17.0, "16", None, "x"])
    ([1, 0, 3, 2], {3: 'x'})
    """
    known = level_codes(feature.categories)
    codes: dict[Any, int] = {None: feature.null_code}
    strange: dict[int, str] = {}
    out: list[int] = []
    for row, value in enumerate(column):
        level = level_text(value) if value is True or value is False else value  # They equal 1 and 0.
        code = codes.get(level)
        if code is None:
            code = codes[level] = known.get(level_text(level), feature.unseen_code)
        if code == feature.unseen_code:
            strange[row] = level_text(level)
        out.append(code)
    return out, strange


@lru_cache(maxsize=1024)
def level_codes(categories: tuple[str, ...]) -> Levels[int]:
    """Code of each level."""
    return Levels({level: code for code, level in enumerate(categories)})


def takes_truths(feature: Feature) -> bool:
    """Whether a truth value may be one of a feature's levels: elsewhere it is a mistake, and no new level."""
    codes = level_codes(feature.categories)
    return any(codes.get(text) is not None for text in ("true", "false"))


def truth_values(column: Sequence[Any]) -> list[float]:
    """Truth values as the matrix holds them.

    >>> truth_values([True, 0, 1.0, "false", None])
    [1.0, 0.0, 1.0, 0.0, nan]
    """
    return [_TRUTHS[value] for value in column]


#: By value: True, 1 and 1.0 are one key. `streams.formats.request_types` lets nothing else through.
_TRUTHS: dict[Any, float] = {True: 1.0, False: 0.0, None: float("nan")}
_TRUTHS |= {text: float(bool(boolean_of(text))) for text in BOOLEAN_TEXTS}
