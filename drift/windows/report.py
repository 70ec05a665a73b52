"""A window's report: its effects, evidence and performance, as they leave."""

from typing import NamedTuple

import msgspec

from drift.cells.cells import Cells
from drift.cells.sums import Sums
from drift.performance import report as performance_report
from drift.performance.outside import outside
from drift.reference.baseline import Baseline
from drift.reference.column_statistics import ColumnStatistics
from drift.reference.tolerances import column_tolerance, tolerance
from drift.windows.window_record import WindowRecord
from streams.wire.records import ColumnReport, Report, Watch


class Verdict(NamedTuple):
    """What the evidence says of a column in a window: e-value in windows, and whether it has drifted."""

    evidence: float
    drifted: bool


_NONE = Verdict(0.0, False)


def full(baseline: Baseline, watch: Watch, window: WindowRecord, sums: Sums | None) -> Report:
    """A closed window's report, in full; without columns where its rows' sums were given up.

    Parameters
    ----------
    window
        What is remembered of the closed window.
    sums
        Sums of its rows, late ones among them; None where they were given up.
    """
    columns = [] if sums is None else _columns(baseline, watch, window, sums)
    scores = window.scores if sums is None or baseline.score is None else sums.cells[baseline.score]
    figures = [] if scores is None else performance_report(baseline.reference, scores, window.labels)
    if sums is not None and any(figure.estimated is not None for figure in figures):
        beyond = outside(baseline.reference, sums.cells)
        figures = [msgspec.structs.replace(figure, outside=beyond) for figure in figures]
    allowed = tolerance(watch, "performance")
    figures = [msgspec.structs.replace(figure, tolerance=allowed) for figure in figures]
    return msgspec.structs.replace(window.report, columns=columns, performance=figures)


def restate(baseline: Baseline, watch: Watch, window: WindowRecord) -> Report:
    """Bring a closed window's report up to date with late rows and labels; evidence and verdicts stay.

    Parameters
    ----------
    window
        What is remembered of the closed window, late rows and labels among it.
    """
    window.report = msgspec.structs.replace(window.report, revision=window.report.revision + 1)
    window.untold, window.rows_changed = 0, False
    return full(baseline, watch, window, None if window.packed is None else window.packed.sums)


def _columns(baseline: Baseline, watch: Watch, window: WindowRecord, sums: Sums) -> list[ColumnReport]:
    columns, judged = baseline.reference.columns, map(Verdict, window.evidence.tolist(), window.drifted.tolist())
    verdicts = list(judged) or [_NONE] * len(columns)
    several = zip(columns, baseline.comparison.describe(sums), verdicts, strict=True)
    return [_column(watch, *column) for column in several]


def _column(watch: Watch, cells: Cells, statistics: ColumnStatistics, verdict: Verdict) -> ColumnReport:
    effect = statistics.effect
    return ColumnReport(
        name=cells.name,
        role=cells.role,
        kind=cells.kind,
        n=statistics.n,
        statistic=effect.statistic,
        effect=effect.value,
        effect_low=effect.low,
        effect_high=effect.high,
        tolerance=column_tolerance(watch, cells.name, effect.statistic),
        evidence=verdict.evidence,
        drifted=verdict.drifted,
        **statistics.values,  # type: ignore[arg-type]  # tests/drift/test_column_table.py holds the names
    )
