"""The process that writes Evidently's report: it begins early, sees a sample, and is never left behind."""

import os
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest

from drift.analysis.report.evidently_process import ROWS_MAX, EvidentlyProcess, ReportError, thinned

_STUB = """
class DataDefinition:
    def __init__(self, **columns): pass
class Dataset:
    @classmethod
    def from_pandas(cls, frame, data_definition): return frame
class Report:
    def __init__(self, presets): pass
    def run(self, now, then):
        self.said = f"<body>{len(now)} against {len(then)}</body>"
        return self
    def save_html(self, out): open(out, "w").write(self.said)
"""


def _stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """A package `evidently` of our own for the child: the real one takes seconds, and is tried elsewhere."""
    package = folder / "stub" / "evidently"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code)
    (package / "presets.py").write_text("DataDriftPreset = DataSummaryPreset = dict")
    paths = [str(folder / "stub"), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


def test_both_sides_are_thinned_to_what_is_said(tmp_path, monkeypatch):
    _stand_in(monkeypatch, tmp_path, _STUB)
    now, then = pa.table({"x": range(ROWS_MAX + 1)}), pa.table({"x": range(70)})
    with EvidentlyProcess() as evidently:
        page = evidently.write(now, then, tmp_path / "deep" / "er.html")
    assert page.read_text() == f"<body>{ROWS_MAX} against 70</body>"


def test_a_sample_is_even_and_holds_both_ends():
    taken = thinned(pa.table({"x": range(3 * ROWS_MAX)})).column("x").to_pylist()
    assert (len(taken), taken[0], taken[-1]) == (ROWS_MAX, 0, 3 * ROWS_MAX - 1)
    assert {b - a for a, b in pairwise(taken)} == {3, 4}
    assert thinned(pa.table({"x": range(ROWS_MAX)})).num_rows == ROWS_MAX


def test_where_no_rows_come_nothing_stays_behind(tmp_path, monkeypatch):
    _stand_in(monkeypatch, tmp_path, "import time\ntime.sleep(60)")
    with pytest.raises(LookupError), EvidentlyProcess() as evidently:
        raise LookupError("no rows")
    assert evidently._process.returncode is not None
    assert not Path(evidently._folder.name).exists()


def test_what_is_not_installed_is_named_with_the_remedy(tmp_path, monkeypatch):
    _stand_in(monkeypatch, tmp_path, "raise ModuleNotFoundError(\"No module named 'evidently'\")")
    rows = pa.table({"x": [1.0]})
    missing = r"No module named 'evidently'; install driftline\[report\]"
    with pytest.raises(ReportError, match=missing), EvidentlyProcess() as evidently:
        evidently.write(rows, rows, tmp_path / "r.html")


def test_what_it_breaks_on_is_said(tmp_path, monkeypatch):
    _stand_in(monkeypatch, tmp_path, _STUB.replace("return self", "raise ValueError('no such column')"))
    rows = pa.table({"x": [1.0]})
    with pytest.raises(ReportError, match="ValueError: no such column"), EvidentlyProcess() as evidently:
        evidently.write(rows, rows, tmp_path / "r.html")
