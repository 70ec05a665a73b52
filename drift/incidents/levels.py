"""Levels: which cells of a column a change is about."""

import numpy as np

from drift.cells import Cells
from drift.incidents.moved import Moved, faults
from drift.incidents.scene import Scene
from drift.statistics.effect import KOLMOGOROV_MEAN
from streams.records import MovedLevel

#: Levels that are named at most, and the share of the change that they must explain.
LEVELS_MAX, EXPLAINED = 4, 0.8
#: A level is named if its change is so many standard errors.
CLEAR = 3.0


def moved_levels(scene: Scene, moved: Moved) -> list[MovedLevel]:
    """The levels that rose or those that fell, in cell order; or the edge that values have crossed.

    The side is told that surprises more (the larger part of chi-square): two rare levels that vanish, not the common
    one that gains what they lose.
    """
    cells = scene.yard.reference.columns[moved.column]
    was, now = scene.yard.reference.expected[scene.yard.cells(moved.column)], moved.present(scene)
    p, q = was / was.sum(), now / now.sum()
    if cells.kind == "numeric":
        inflated = scene.yard.design_effects[moved.column] * (1 / was.sum() + 1 / now.sum())
        return [_edge(cells, p, q, KOLMOGOROV_MEAN * float(np.sqrt(inflated)))]
    pooled = (was + now) / (was.sum() + now.sum())
    noise = pooled * (1 / was.sum() + 1 / now.sum()) * scene.yard.design_effects[moved.column]
    z = (q - p) / np.sqrt(np.where(noise > 0, noise, 1.0))
    sign = 1 if (z[z > 0] ** 2).sum() > (z[z < 0] ** 2).sum() else -1
    chosen = _explaining(sign * (q - p), sign * z)
    return [MovedLevel(cells.labels[cell], float(p[cell]), float(q[cell])) for cell in chosen]


def _explaining(change: np.ndarray, z: np.ndarray) -> list[int]:
    """The fewest cells that explain most of what clearly rose, at least the one that rose most clearly."""
    clear = np.where(z > CLEAR, change, 0.0)
    if not clear.any():
        return [int(z.argmax())]
    order = np.argsort(-clear, kind="stable")
    needed = int(np.searchsorted(np.cumsum(clear[order]), EXPLAINED * clear.sum())) + 1
    return sorted(int(cell) for cell in order[: min(needed, LEVELS_MAX)])


def _edge(cells: Cells, p: np.ndarray, q: np.ndarray, chance: float) -> MovedLevel:
    """The edge where the two distributions are furthest apart, or a fault that explains as much.

    ``chance`` is how far apart they would be if nothing had moved.
    """
    gap = np.abs(np.cumsum(q - p)[:-1])
    wrong = {what: (p[list(those)].sum(), q[list(those)].sum()) for what, those in faults(cells).items()}
    what, (then, present) = max(wrong.items(), key=lambda found: abs(found[1][1] - found[1][0]))
    apart = np.sqrt(max(gap.max() ** 2 / 4, gap.max() ** 2 - chance**2))
    if not cells.edges or abs(present - then) >= EXPLAINED * apart:
        return MovedLevel(what, float(then), float(present))
    inner = int(gap[1 : len(cells.edges) + 1].argmax())
    above = slice(inner + 2, cells.null)
    return MovedLevel(f"from {cells.edges[inner]:.4g} up", float(p[above].sum()), float(q[above].sum()))
