"""What a reference's parts must say of one another, checked where one is read: its bytes may be anybody's.

Whoever counts, judges or shows takes these for granted: an edge that is NaN, a count below zero or a column that stands
twice would otherwise stop the judge in the middle of a window.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from drift.cells.binning import KNOWN_LEVELS_MAX, NAMED_LEVELS_MAX
from drift.cells.cells import PREDICTION, SCORE, Cells
from drift.cells.profile import Profile
from drift.evidence.contrasts import contrast_count

#: Cells of all columns: so many make a counts message of 900 kB.
CELLS_MAX = 100_000
#: Columns: each has three cells at least.
COLUMNS_MAX = CELLS_MAX // 3
#: Edges of a column: 41 quantiles, both sides of 49 point masses, a range and a threshold are 142.
EDGES_MAX = 256
#: Rows that a reference may be of; sums of counts stay exact in float64.
ROWS_MAX = 2**40
_OUTPUTS = (SCORE, PREDICTION)


def contradiction(reference: Profile) -> str:
    """Say what is wrong first; empty where nothing is.

    >>> import pyarrow as pa
    >>> from drift import Reference
    >>> contradiction(Reference.fit(pa.table({"x": [1.5, 2.5]})))
    ''
    """
    return next(_contradictions(reference), "")


def _contradictions(reference: Profile) -> Iterator[str]:
    yield from _of_rows(reference)
    yield from _of_names(reference)
    for column in reference.columns:
        for what in _of_cells(column):
            yield f"column {column.name!r}: {what}"
    yield from _of_counts(reference)
    yield from _of_numbers(reference)
    yield from _of_performance(reference)


def _of_rows(reference: Profile) -> Iterator[str]:
    if not 1 <= reference.rows <= ROWS_MAX:
        yield f"rows is {reference.rows}, between 1 and {ROWS_MAX} are read"
    if not 0 <= reference.held_out_rows <= ROWS_MAX:
        yield f"held_out_rows is {reference.held_out_rows}, between 0 and {ROWS_MAX} are read"


def _of_names(reference: Profile) -> Iterator[str]:
    """Columns are features of the schema, of its kinds, and then what the model said."""
    kinds = {feature.name: feature.kind for feature in reference.schema.features}
    names = [column.name for column in reference.columns]
    outputs = [name for name in names if name not in kinds]
    if not names:
        yield "it has no column"
    if repeated := _repeated(names):
        yield f"two columns have the name {repeated!r}"
    if names[len(names) - len(outputs) :] != outputs or outputs != [name for name in _OUTPUTS if name in outputs]:
        yield f"columns {outputs[:5]} are neither features of its schema nor score and prediction at the end"
    for column in reference.columns:
        if column.role != ("feature" if column.name in kinds else "prediction"):
            yield f"column {column.name!r}: its role is {column.role!r}"
        if kinds.get(column.name, column.kind) != column.kind:
            yield f"column {column.name!r}: it is {column.kind}, in the schema {kinds[column.name]}"
    if missing := [name for name in reference.segments if name not in kinds or kinds[name] == "numeric"]:
        yield f"segment {missing[0]!r} is no categorical feature"
    if repeated := _repeated(reference.classes):
        yield f"class {repeated!r} stands twice"


def _of_cells(cells: Cells) -> Iterator[str]:
    if len(cells.edges) > EDGES_MAX:
        yield f"{len(cells.edges)} edges, at most {EDGES_MAX} are read"
    elif cells.edges and cells.kind != "numeric":
        yield f"it is {cells.kind} and has edges"
    with np.errstate(over="ignore"):  # Beyond the largest float32 lies infinity, which is found here.
        exact = [np.isfinite(np.float32(edge)) and float(np.float32(edge)) == edge for edge in cells.edges]
    if not all(exact):
        yield f"edge {cells.edges[exact.index(False)]!r} is no finite float32"
    if any(not low < high for low, high in pairwise(cells.edges)):
        yield "its edges do not ascend"
    ends = [end for end in (cells.low, cells.high) if end is not None]
    if ends and (cells.kind != "numeric" or any(np.isnan(ends)) or ends != sorted(ends)):
        yield f"its range is {cells.low} to {cells.high}"
    known = (*cells.levels, *cells.others)
    if cells.kind == "numeric" and (known or cells.open):
        yield "it is numeric and has levels"
    if cells.kind == "boolean" and (known not in ((), ("false", "true")) or cells.others or cells.open):
        yield "it is boolean and has other levels than false and true"
    if len(cells.levels) > NAMED_LEVELS_MAX or len(known) > KNOWN_LEVELS_MAX:
        yield f"{len(cells.levels)} and {len(cells.others)} levels, at most {NAMED_LEVELS_MAX} named are read"
    if repeated := _repeated(known):
        yield f"level {repeated!r} stands twice"


def _of_counts(reference: Profile) -> Iterator[str]:
    if reference.offsets[-1] != len(reference.counts):
        yield f"{len(reference.counts)} counts for {reference.offsets[-1]} cells"
        return
    judged = reference.held_out_rows or reference.rows
    for n, column in enumerate(reference.columns):
        counts = reference.counts[reference.offsets[n] : reference.offsets[n + 1]]
        rows = reference.rows if column.role == "feature" else judged
        if counts.min() < 0 or counts.max() > rows or counts.sum() != rows:
            yield f"column {column.name!r}: counts of {counts.min()} to {counts.max()}, {counts.sum()} rows of {rows}"
        bias = int(reference.selection_bias[n])
        named = int(counts[: len(column.levels)].sum()) if column.other is not None else 0
        if not 0 <= bias <= named:
            yield f"column {column.name!r}: a selection bias of {bias}, between 0 and {named} can be"


def _of_numbers(reference: Profile) -> Iterator[str]:
    """One fixed point a column, one design effect a contrast, all of them finite."""
    for name in ("centre", "scale", "spread"):
        values = getattr(reference, name)
        bad = ~np.isfinite(values) | (values <= 0 if name != "centre" else False)
        if bad.any():
            n = int(np.flatnonzero(bad)[0])
            yield f"column {reference.columns[n].name!r}: {name} is {values[n]}"
    if (np.frexp(reference.scale)[0] != 0.5).any():
        yield "a scale is no power of two"
    if np.isinf(reference.extremes).any() or (reference.extremes[:, 0] > reference.extremes[:, 1]).any():
        yield "extremes that are infinite, or the wrong way round"
    contrasts, effects = contrast_count(reference.columns), reference.design_effects
    if len(effects) != contrasts:
        yield f"{len(effects)} design effects for {contrasts} contrasts"
    effects = np.append(effects, reference.loss_design_effect)
    if not (np.isfinite(effects) & (effects > 0)).all():
        yield "a design effect that is no positive number"


def _of_performance(reference: Profile) -> Iterator[str]:
    """Label sums and shares have a row for each cell of the score."""
    score = reference.score
    cells = 0 if score is None else score.size
    share = reference.positive_share
    sums = reference.labels
    if sums is not None and (sums.shape != (cells, 4) or not cells or reference.task is None):
        yield f"label sums of shape {sums.shape}, for {cells} cells of a score and the task {reference.task}"
    elif sums is not None and (sums[:, 0] < 0).any():
        yield "label sums of fewer than no rows"
    if share is not None and (share.shape != (cells,) or not ((share >= 0) & (share <= 1)).all()):
        yield f"shares that are predicted positive of shape {share.shape}, for {cells} cells, each from 0 to 1"
    if not np.isfinite([*reference.performance.values()]).all():
        yield "a figure of its performance is not finite"


def _repeated(names: Sequence[str]) -> str | None:
    name, times = Counter(names).most_common(1)[0] if names else ("", 0)
    return name if times > 1 else None
