"""The style of charts: few lines, quiet ink, the same hues by day and by night.

Ink that depends on day or night (text, grids, hovers) is left to the stylesheet, which overrides it inside the charts,
too.
"""

import plotly.graph_objects as go

from dashboards.theme import FINE, SERIES

FONT = '-apple-system, BlinkMacSystemFont, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'

_AXIS = {
    "showline": False,
    "zeroline": False,
    "ticks": "",
    "gridcolor": "rgba(138,143,152,.22)",
    "title": {"text": ""},
    "automargin": True,
    "fixedrange": True,
}

TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": FONT, "size": 12, "color": FINE},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 8, "t": 8, "b": 26, "pad": 4},
        "colorway": SERIES,
        "hovermode": "x unified",
        "hoverlabel": {"font": {"family": FONT, "size": 12}, "align": "left"},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "itemclick": False,
            "traceorder": "normal",
        },
        "xaxis": {**_AXIS, "showgrid": False, "automargin": False},
        "yaxis": {**_AXIS, "nticks": 5, "tickformat": "~g"},
        "dragmode": False,
    }
)

#: What the browser is told about every chart: no tool bar, no zoom by wheel, resize with the window.
CONFIG = {"displayModeBar": False, "responsive": True, "scrollZoom": False, "doubleClick": False, "showTips": False}
