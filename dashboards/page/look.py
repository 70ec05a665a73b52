"""How charts look: few lines, quiet ink, the same hues by day and by night.

Blue is the reference, orange what is current. Ink that depends on day or night (text, grids, hovers) is left to the
stylesheet, which overrides it inside the charts, too.
"""

import plotly.graph_objects as go

REFERENCE = "#0072B2"
CURRENT = "#E69F00"
WATCH = "#CC79A7"
CRITICAL = "#D55E00"
FINE = "#8A8F98"
#: Further series, colour-blind safe beside the four above.
SERIES = (CURRENT, REFERENCE, "#009E73", "#56B4E9", WATCH, FINE)

SEVERITIES = {"watch": WATCH, "warning": CURRENT, "critical": CRITICAL}

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


def washed(colour: str, alpha: float) -> str:
    """A hue as a translucent wash.

    >>> washed("#0072B2", 0.25)
    'rgba(0,114,178,0.25)'
    """
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
