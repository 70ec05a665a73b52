"""Levels: which cells of a column a change is about."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from drift.cells.cells import Cells, edge_text, point_masses
from drift.incidents.changed_column import ChangedColumn
from drift.incidents.closed_window import EvidenceWindow
from drift.incidents.column_faults import faults
from drift.incidents.spelling import listed
from drift.statistics.effect import KOLMOGOROV_MEAN
from streams.wire.records import IncidentKind, MovedLevel

#: Levels that are named at most, and the share of the change that they must explain.
LEVELS_MAX, EXPLAINED = 4, 0.8
#: A level is named if its change is so many standard errors.
CLEAR = 3.0


class Part(NamedTuple):
    """A part of a column that a change is about: how it is called, and its cells."""

    name: str
    cells: tuple[int, ...]


def changed_levels(window: EvidenceWindow, column: ChangedColumn) -> list[MovedLevel]:
    """The parts of a column that a change is about: their share in the reference and since the change."""
    was, now = window.baseline.reference.expected[window.baseline.cells(column.index)], column.present(window)
    return [
        MovedLevel(part.name, *(float(counts[list(part.cells)].sum() / counts.sum()) for counts in (was, now)))
        for part in changed_parts(window, column)
    ]


def changed_parts(window: EvidenceWindow, column: ChangedColumn) -> list[Part]:
    """The levels that rose or those that fell, in cell order; or the edge that values have crossed.

    The side is told that surprises more (the larger part of chi-square): two rare levels that vanish, not the common
    one that gains what they lose.
    """
    cells = window.baseline.reference.columns[column.index]
    was, now = window.baseline.reference.expected[window.baseline.cells(column.index)], column.present(window)
    p, q = _shares(window, column)
    if cells.kind == "numeric" and _still(window, column, q):
        return [Part(name, tuple(cells)) for name, cells in column.parts]
    if cells.kind == "numeric":
        inflated = window.baseline.design_effects[column.index] * (1 / was.sum() + 1 / now.sum())
        return [_of_numbers(cells, p, q, KOLMOGOROV_MEAN * float(np.sqrt(inflated)))]
    pooled = (was + now) / (was.sum() + now.sum())
    noise = pooled * (1 / was.sum() + 1 / now.sum()) * window.baseline.design_effects[column.index]
    z = (q - p) / np.sqrt(np.where(noise > 0, noise, 1.0))
    sign = 1 if (z[z > 0] ** 2).sum() > (z[z < 0] ** 2).sum() else -1
    return [Part(cells.labels[cell], (cell,)) for cell in _explaining(sign * (q - p), sign * z)]


def level_subject(cells: Cells, names: Sequence[str]) -> str:
    """How people call some of a column's levels, as the subject of a sentence.

    >>> cells = Cells(name="city", kind="categorical", levels=("16", "17"))
    >>> level_subject(cells, ["16", "17"]), level_subject(cells, ["null"])
    ('levels 16 and 17', 'null values')
    """
    special = faults(cells).keys() | ({cells.labels[cells.other]} if cells.other is not None else set())
    if special.issuperset(names):
        return f"{listed(names)} values"
    if cells.kind == "numeric":
        return f"the share of values {names[0]}"
    return f"level{'s' if len(names) > 1 else ''} {listed(names)}"


def kind(window: EvidenceWindow, several: Sequence[ChangedColumn]) -> IncidentKind:
    """What an incident is about: predictions before features, features before the quality of the data."""
    columns = window.baseline.reference.columns
    if any(columns[column.index].role == "prediction" for column in several):
        return "prediction"
    wrong = (
        {level.level for level in changed_levels(window, column)} <= faults(columns[column.index]).keys()
        for column in several
    )
    return "quality" if all(wrong) else "feature"


def _still(window: EvidenceWindow, column: ChangedColumn, share: np.ndarray) -> bool:
    """Whether the edge that a number was reported by still tells its change: then readers keep it."""
    if not column.parts or column.reported is None or not column.reported.sum() or column.broken(window):
        return False
    was, _ = _shares(window, column)
    reported, tolerance = column.reported / column.reported.sum(), window.tolerance(column.index)
    side = [cell for _, cells in column.parts for cell in cells]
    apart = float(np.abs(np.cumsum(share - reported)).max())
    if abs(share[side].sum() - was[side].sum()) < np.abs(np.cumsum(share - was)).max() / 2:
        return False
    return apart < tolerance or abs(share[side].sum() - reported[side].sum()) >= tolerance


def _shares(window: EvidenceWindow, column: ChangedColumn) -> tuple[np.ndarray, np.ndarray]:
    was, now = window.baseline.reference.expected[window.baseline.cells(column.index)], column.present(window)
    return was / was.sum(), now / now.sum()


def _explaining(change: np.ndarray, z: np.ndarray) -> list[int]:
    """The fewest cells that explain most of what clearly rose, at least the one that rose most clearly."""
    clear = np.where(z > CLEAR, change, 0.0)
    if not clear.any():
        return [int(z.argmax())]
    order = np.argsort(-clear, kind="stable")
    needed = int(np.searchsorted(np.cumsum(clear[order]), EXPLAINED * clear.sum())) + 1
    return sorted(int(cell) for cell in order[: min(needed, LEVELS_MAX)])


def _of_numbers(cells: Cells, p: np.ndarray, q: np.ndarray, chance: float) -> Part:
    """The edge where the two distributions are furthest apart; or a fault, or a single value, that explains as much.

    ``chance`` is how far apart they would be if nothing had moved.
    """
    gap = np.abs(np.cumsum(q - p)[:-1])
    single = {f"of exactly {text}": (cell,) for text, cell in point_masses(cells)}
    change = {name: abs((q - p)[list(those)].sum()) for name, those in (faults(cells) | single).items()}
    name = max(change, key=lambda name: (change[name], name))
    apart = np.sqrt(max(gap.max() ** 2 / 4, gap.max() ** 2 - chance**2))
    if not cells.edges or change[name] >= EXPLAINED * apart:
        return Part(name, (faults(cells) | single)[name])
    inner = int(gap[1 : len(cells.edges) + 1].argmax())
    text, included = edge_text(cells.edges, inner)
    lower, upper = tuple(range(inner + 2)), tuple(range(inner + 2, cells.null))
    if q[list(lower)].sum() > p[list(lower)].sum():  # The side that there is more of now.
        return Part(f"below {text}" if included else f"of {text} or less", lower)
    return Part(f"of {text} or more" if included else f"above {text}", upper)
