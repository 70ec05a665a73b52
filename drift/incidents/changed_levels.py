"""Levels: which cells of a column a change is about."""

from typing import NamedTuple

import numpy as np

from drift.cells.cells import Cells, edge_text, point_masses
from drift.incidents.changed_column import Moved, faults
from drift.incidents.closed_window import Scene
from drift.statistics.effect import KOLMOGOROV_MEAN
from streams.wire.records import MovedLevel

#: Levels that are named at most, and the share of the change that they must explain.
LEVELS_MAX, EXPLAINED = 4, 0.8
#: A level is named if its change is so many standard errors.
CLEAR = 3.0


class Part(NamedTuple):
    """A part of a column that a change is about: how it is called, and its cells."""

    name: str
    cells: tuple[int, ...]


def moved_levels(scene: Scene, moved: Moved) -> list[MovedLevel]:
    """The parts of a column that a change is about: their share in the reference and since the change."""
    was, now = scene.baseline.reference.expected[scene.baseline.cells(moved.column)], moved.present(scene)
    return [
        MovedLevel(part.name, *(float(counts[list(part.cells)].sum() / counts.sum()) for counts in (was, now)))
        for part in moved_parts(scene, moved)
    ]


def moved_parts(scene: Scene, moved: Moved) -> list[Part]:
    """The levels that rose or those that fell, in cell order; or the edge that values have crossed.

    The side is told that surprises more (the larger part of chi-square): two rare levels that vanish, not the common
    one that gains what they lose.
    """
    cells = scene.baseline.reference.columns[moved.column]
    was, now = scene.baseline.reference.expected[scene.baseline.cells(moved.column)], moved.present(scene)
    p, q = _shares(scene, moved)
    if cells.kind == "numeric" and _still(scene, moved, q):
        return [Part(name, tuple(own)) for name, own in moved.parts]
    if cells.kind == "numeric":
        inflated = scene.baseline.design_effects[moved.column] * (1 / was.sum() + 1 / now.sum())
        return [_of_numbers(cells, p, q, KOLMOGOROV_MEAN * float(np.sqrt(inflated)))]
    pooled = (was + now) / (was.sum() + now.sum())
    noise = pooled * (1 / was.sum() + 1 / now.sum()) * scene.baseline.design_effects[moved.column]
    z = (q - p) / np.sqrt(np.where(noise > 0, noise, 1.0))
    sign = 1 if (z[z > 0] ** 2).sum() > (z[z < 0] ** 2).sum() else -1
    return [Part(cells.labels[cell], (cell,)) for cell in _explaining(sign * (q - p), sign * z)]


def _still(scene: Scene, moved: Moved, share: np.ndarray) -> bool:
    """Whether the edge that a number was told by still tells its change: then readers keep it."""
    if not moved.parts or moved.told is None or not moved.told.sum() or moved.broken(scene):
        return False
    was, _ = _shares(scene, moved)
    told, tolerance = moved.told / moved.told.sum(), scene.tolerance(moved.column)
    own = [cell for _, cells in moved.parts for cell in cells]
    apart = float(np.abs(np.cumsum(share - told)).max())
    if abs(share[own].sum() - was[own].sum()) < np.abs(np.cumsum(share - was)).max() / 2:
        return False
    return apart < tolerance or abs(share[own].sum() - told[own].sum()) >= tolerance


def _shares(scene: Scene, moved: Moved) -> tuple[np.ndarray, np.ndarray]:
    was, now = scene.baseline.reference.expected[scene.baseline.cells(moved.column)], moved.present(scene)
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
