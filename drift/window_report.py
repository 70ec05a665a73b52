"""A window's report: its effects, evidence and performance, as they leave."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from drift.cells import Cells
from drift.performance import report as performance_report
from drift.statistics import ColumnStatistics
from drift.sums import Sums
from drift.tolerances import tolerance
from drift.windows import Closed
from drift.yardstick import Yardstick
from streams.records import ColumnReport, MetricReport, Watch


class Verdict(NamedTuple):
    """What the evidence says of a column in a window: e-value in windows, and whether it has drifted."""

    evidence: float
    drifted: bool


NO_VERDICT = Verdict(0.0, False)


def columns(
    yard: Yardstick, watch: Watch, sums: Sums, verdicts: Mapping[str, Verdict] | None = None
) -> list[ColumnReport]:
    """Describe every column of a window; ``verdicts`` by column name."""
    verdicts = verdicts or {}
    return [
        _column(watch, cells, found, verdicts.get(cells.name, NO_VERDICT))
        for cells, found in zip(yard.reference.columns, yard.panel.describe(sums), strict=True)
    ]


def _column(watch: Watch, cells: Cells, found: ColumnStatistics, verdict: Verdict) -> ColumnReport:
    effect = found.effect
    return ColumnReport(
        name=cells.name,
        role=cells.role,
        kind=cells.kind,
        n=found.n,
        statistic=effect.statistic,
        effect=effect.value,
        effect_low=effect.low,
        effect_high=effect.high,
        tolerance=tolerance(watch, effect.statistic),
        evidence=verdict.evidence,
        drifted=verdict.drifted,
        ks=found.ks,
        w1=found.w1,
        psi=found.psi,
        psi_bias=found.psi_bias,
        tvd=found.tvd,
        mean=found.mean,
        null_rate=found.null_rate,
        unseen_rate=found.unseen_rate,
        out_of_range_rate=found.out_of_range_rate,
    )


def performance(yard: Yardstick, sums: Sums, labels: np.ndarray | None) -> list[MetricReport]:
    """Figures of a window; none where there is no score to estimate them by."""
    if yard.reference.score is None:
        return []
    return performance_report(yard.reference, yard.reference.of("score", sums.cells), labels)


def restate(yard: Yardstick, watch: Watch, window: Closed) -> None:
    """Bring a closed window's report up to date with late rows and labels; evidence and verdicts stay."""
    report = window.report
    if window.rows_changed:
        verdicts = {column.name: Verdict(column.evidence, column.drifted) for column in report.columns}
        report = msgspec.structs.replace(
            report, rows=window.sums.rows, columns=columns(yard, watch, window.sums, verdicts)
        )
    window.report = msgspec.structs.replace(
        report, revision=report.revision + 1, performance=performance(yard, window.sums, window.labels)
    )
    window.untold, window.rows_changed = 0, False
