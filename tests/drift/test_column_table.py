"""Wherever a statistic of a column stands, it is the table's; a place that lacks one is named here."""

import re
from importlib import resources

import msgspec
import pytest

from drift.analysis.backtest import REPORTS
from drift.statistics.column_table import COLUMN_STATISTICS, NAMES
from drift.store.report_rows import of_reports
from streams.wire.records import ColumnReport, Report

#: What a column's report has besides statistics: who it is, its effect, its evidence.
HEAD = {
    *("name", "role", "kind", "n", "statistic", "effect", "effect_low", "effect_high", "tolerance"),
    *("evidence", "drifted"),
}


def column(**values) -> ColumnReport:
    return ColumnReport(
        name="x", role="feature", kind="numeric", n=9, statistic="ks", effect=0.1, effect_low=0.0, effect_high=0.2,
        tolerance=0.1, evidence=2.0, drifted=False, **values,
    )  # fmt: skip


def test_every_statistic_is_a_field_of_the_wire_record():
    fields = [name for name in ColumnReport.__struct_fields__ if name not in HEAD]
    lacking = sorted(set(NAMES) - set(fields))
    assert not lacking, f"give streams.wire.records.ColumnReport the fields {lacking}: float | None = None"
    assert fields == list(NAMES), "in the order of the table, or the table has lost one that is read from old reports"


def test_a_report_from_before_a_statistic_was_there_is_read():
    """Rows made before are read after: every field but the head has a default."""
    head = {name: value for name, value in msgspec.to_builtins(column()).items() if name in HEAD}
    assert msgspec.convert(head, ColumnReport) == column()


@pytest.mark.parametrize("statistic", COLUMN_STATISTICS, ids=lambda statistic: statistic.name)
def test_every_statistic_is_a_row_of_the_store(statistic):
    report = Report(
        model="m", version="v1", window_start=0, window_end=1, rows=9, reference="r", evidence=2.0, budget=9.0,
        columns=[column(**{statistic.name: 0.25})],
    )  # fmt: skip
    rows = of_reports([report]).columns
    values = dict(zip(rows["statistic"], rows["value"], strict=True))
    assert values[statistic.name] == 0.25
    assert {"effect", "evidence"} <= set(values)


def test_a_backtest_has_those_that_the_table_gives_it():
    given = [name for name in REPORTS if name in NAMES]
    assert given == [statistic.name for statistic in COLUMN_STATISTICS if statistic.in_backtest]
    assert given[:6] == ["ks", "w1", "psi", "tvd", "null_rate", "unseen_rate"], "those that scripts read stay"


def queried(panel: str) -> set[str]:
    """Statistics that a panel's query names."""
    sql = resources.files("dashboards").joinpath("queries", f"{panel}.sql").read_text()
    listed = re.search(r"statistic (?:NOT )?IN \(([^)]*)\)", sql)
    return set(re.findall(r"'(\w+)'", listed[1]))


def test_the_page_shows_every_distance_and_every_rate():
    """The panel of distances leaves out what is none, so a new distance is there without more."""
    others = {s.name for s in COLUMN_STATISTICS if s.shown != "distance"}
    assert queried("column_distances") == others | {"effect", "evidence"}
    assert queried("column_quality") == {s.name for s in COLUMN_STATISTICS if s.shown == "rate"}


def test_names_are_told_once_each():
    assert len(set(NAMES)) == len(NAMES)
    assert all(statistic.unit for statistic in COLUMN_STATISTICS)
