"""Cells: the bins of one column, frozen in a reference, that every later row falls into.

Counts over cells are all that drift remembers of the data. They are integers, so they add up the same whatever
the order or the split, and from them come every statistic and all evidence.

=============  ========================================================================================
kind           cells, in this order
=============  ========================================================================================
numeric        ``-inf``; the intervals ``[edge, next edge)`` of the real line; ``+inf``; ``null`` (and NaN)
categorical    the named levels; ``other`` (known, but not named); ``unseen``; ``null``
boolean        ``false``; ``true``; ``null``
=============  ========================================================================================

So a running sum over a numeric column's counts is its distribution function.
"""

from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import msgspec
import numpy as np

from drift.cells.columns import floats, levels
from streams.wire.classes import Classes
from streams.wire.schema import Kind
from streams.wire.spelling import Levels

Role = Literal["feature", "prediction"]

SCORE = "score"
PREDICTION = "prediction"
_LOWEST = np.finfo(np.float32).min


class Cells(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The frozen bins of one column.

    Parameters
    ----------
    name, role
        A feature's name; or ``score`` and ``prediction``, whose role is ``prediction``.
    kind
        ``numeric``, ``categorical`` or ``boolean``.
    edges
        Of a numeric column: ascending, each exact in float32. A value equal to an edge belongs above it.
    levels
        Of a categorical column: the levels that have cells of their own.
    others
        Levels that are known and share the cell ``other``.
    open
        There are more known levels than are listed: a level that is not listed counts as ``other``, and there is
        no cell ``unseen``.
    low, high
        Plausible range of a numeric column, both ends included. Its ends are edges, so that the rows outside are
        a sum of cells.

    >>> age = Cells(name="age", edges=(18.0, 40.0))
    >>> age.labels
    ('-inf', '< 18', '[18, 40)', '>= 40', '+inf', 'null')
    >>> age.index(np.array([17.9, 18.0, 90.0, np.nan, np.inf])).tolist()
    [1, 2, 3, 5, 4]
    >>> city = Cells(name="city", kind="categorical", levels=("Rome", "Oslo"), others=("Bern",))
    >>> city.index(["Oslo", "Bern", "oslo", None]).tolist()
    [1, 2, 3, 4]
    """

    name: str
    role: Role = "feature"
    kind: Kind = "numeric"
    edges: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    open: bool = False
    low: float | None = None
    high: float | None = None

    def index(self, values: Any) -> np.ndarray:
        """Cell of each row, int64 [rows], of an Arrow array, a Series, a NumPy array or a sequence.

        Raises
        ------
        ColumnError
            A numeric column got text.
        """
        if self.kind == "numeric":
            numbers = floats(values, self.name)
            cells: np.ndarray = np.searchsorted(self.bounds, numbers, side="right")
            cells[np.isnan(numbers)] = self.null
            return cells
        codes, texts = levels(values)
        row_cells: np.ndarray = self.positions(texts)[codes]
        return row_cells

    def positions(self, texts: list[str | None]) -> np.ndarray:
        """Cell of each level text, int64 [texts + 1]; the last entry is null's, so that code -1 finds it."""
        beyond = self.other if self.open else self.unseen
        missed = self.null if beyond is None else beyond
        if self._classes is not None:
            texts = self._classes.of_all(texts)
        places = [self.null if text is None else self._places.get(text, missed) for text in texts]
        return np.array([*places, self.null], dtype=np.int64)

    @cached_property
    def _places(self) -> Levels[int]:
        if self.kind == "boolean":
            return Levels({"false": 0, "true": 1})
        return Levels({**dict.fromkeys(self.others, len(self.levels)), **{t: n for n, t in enumerate(self.levels)}})

    @cached_property
    def _classes(self) -> Classes | None:
        """Reader of predicted classes, by value: the table, the package and the topic may spell them differently."""
        if self.name != PREDICTION or self.kind != "categorical":
            return None
        return Classes((*self.levels, *self.others), open=True)

    @cached_property
    def bounds(self) -> np.ndarray:
        """Lower ends of all cells but the first and null, float32: the edges between the two infinities."""
        return np.array([_LOWEST, *self.edges, np.inf], dtype=np.float32)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """A human text for each cell, in cell order."""
        if self.kind == "boolean":
            return ("false", "true", "null")
        if self.kind == "categorical":
            shared = ("other",) * (self.other is not None) + ("unseen",) * (self.unseen is not None)
            return (*self.levels, *shared, "null")
        return ("-inf", *_intervals(self.edges), "+inf", "null")

    @property
    def size(self) -> int:
        """How many cells."""
        return self.null + 1

    @property
    def null(self) -> int:
        """Cell of missing values: always the last."""
        if self.kind == "numeric":
            return len(self.edges) + 3
        if self.kind == "boolean":
            return 2
        return len(self.levels) + bool(self.others or self.open) + (not self.open)

    @property
    def other(self) -> int | None:
        """Cell of known levels without a cell of their own; None where there are none."""
        return len(self.levels) if self.kind == "categorical" and (self.others or self.open) else None

    @property
    def unseen(self) -> int | None:
        """Cell of unknown levels; None where the kind has none or all levels count as known."""
        return self.null - 1 if self.kind == "categorical" and not self.open else None

    @property
    def minus_inf(self) -> int | None:
        """Cell of minus infinity; None but for numeric columns."""
        return 0 if self.kind == "numeric" else None

    @property
    def plus_inf(self) -> int | None:
        """Cell of plus infinity; None but for numeric columns."""
        return self.null - 1 if self.kind == "numeric" else None

    @cached_property
    def out_of_range(self) -> tuple[int, ...]:
        """Cells outside the plausible range, infinities included; empty where no range is known."""
        if self.kind != "numeric" or (self.low is None and self.high is None):
            return ()
        starts = self.bounds[:-1]
        below = starts < (-np.inf if self.low is None else np.float32(self.low))
        above = starts > (np.inf if self.high is None else np.float32(self.high))
        inside = tuple(int(n) + 1 for n in np.flatnonzero(below | above))
        ends = (() if self.low is None else (0,), () if self.high is None else (self.null - 1,))
        return ends[0] + inside + ends[1]


def _intervals(edges: tuple[float, ...]) -> tuple[str, ...]:
    """Texts of the intervals of the real line between the edges.

    The float just above a short number is spelled by that number: ``[90.00001, ...`` is ``(90, ...``.
    """
    if not edges:
        return ("any",)
    ends = _ends(edges)
    (first, shut), (last, included) = ends[0], ends[-1]
    inner = (
        low if (low, low_shut, high_shut) == (high, True, False) else
        f"{'[' if low_shut else '('}{low}, {high}{')' if high_shut else ']'}"
        for (low, low_shut), (high, high_shut) in pairwise(ends)
    )  # fmt: skip
    return (f"{'<' if shut else '<='} {first}", *inner, f"{'>=' if included else '>'} {last}")


def edge_text(edges: tuple[float, ...], n: int) -> tuple[str, bool]:
    """Text of an edge, and whether the number that it spells lies above it.

    >>> edge_text((0.0, float(np.nextafter(np.float32(0), np.float32(1))), 31.0), 1), edge_text((18.0, 40.0), 0)
    (('0', False), ('18', True))
    """
    return _ends(edges)[n]


def point_masses(cells: Cells) -> list[tuple[str, int]]:
    """Single values with a cell of their own: their texts and cells.

    >>> point_masses(Cells(name="tip", edges=(0.0, float(np.nextafter(np.float32(0), np.float32(1))), 5.0)))
    [('0', 2)]
    """
    if cells.kind != "numeric":
        return []
    ends = _ends(cells.edges) if cells.edges else []
    return [
        (low, n + 2)
        for n, ((low, low_shut), (high, high_shut)) in enumerate(pairwise(ends))
        if (low, low_shut, high_shut) == (high, True, False)
    ]


def _ends(edges: tuple[float, ...]) -> list[tuple[str, bool]]:
    """Texts of edges, with as few digits as tell them apart; a single value with a cell of its own keeps all of its.

    >>> speed = np.float32(16.11092)
    >>> _ends((2.718281, float(speed), float(np.nextafter(speed, np.float32(17)))))
    [('2.718', True), ('16.11092', True), ('16.11092', False)]
    """
    exact = [_spelled(edge, edges) for edge in edges]
    # Rounded, "16.11 or less" would leave out a value that a tenth of the rows have.
    short = [
        (text if _bounds_single(edge, edges) else f"{float(text):.4g}", shut)
        for edge, (text, shut) in zip(edges, exact, strict=True)
    ]
    return short if len(set(short)) == len(edges) else exact


def _bounds_single(edge: float, edges: tuple[float, ...]) -> bool:
    """Whether an edge bounds a cell of a single value."""
    with np.errstate(over="ignore"):  # Beyond the largest float32 lies infinity.
        return any(float(np.nextafter(np.float32(edge), np.float32(to))) in edges for to in (-np.inf, np.inf))


def _spelled(edge: float, edges: tuple[float, ...]) -> tuple[str, bool]:
    """Shortest text of an edge, and whether the number it spells belongs above it."""
    here, under = np.float32(edge), np.nextafter(np.float32(edge), np.float32(-np.inf))
    if float(under) in edges or (np.isfinite(under) and len(str(under)) + 3 < len(str(here))):
        return str(under).removesuffix(".0"), False
    return str(here).removesuffix(".0"), True
