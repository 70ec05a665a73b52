"""What a chart's axes say, without a browser."""

from datetime import UTC

import pandas as pd
import pytest

from dashboards.page.chart_context import ChartContext
from dashboards.page.charts import draw
from dashboards.panels import named

END = pd.Timestamp("2026-11-21T03:28:00Z")
CANVAS = ChartContext(UTC, END - pd.Timedelta("1h"), END, pd.Timedelta("1min"))


@pytest.mark.parametrize(
    ("panel", "rows", "top"),
    [
        ("column_rollups", {"length": "1 h", "effect": 0.37}, 0.37 * 1.12),  # Half of the chart at least is the line.
        ("column_rollups", {"length": "1 h", "effect": 0.0}, 0.1),
        ("column_quality", {"rate": "missing", "share": 0.004}, 1.0),
        ("rates", {"station": "predicted", "rows": 4.0}, 10.0),
    ],
)
def test_an_axis_ends_a_little_above_its_highest_line(panel, rows, top):
    frame = pd.DataFrame([{"time": END - pd.Timedelta("2min"), **rows}, {"time": END, **rows}])
    figure = draw(named(panel), frame, CANVAS)
    assert figure.layout.yaxis.range == pytest.approx((0, top))
