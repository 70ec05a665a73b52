"""The palette: one set of hues for the page, for Grafana and for reports on paper, by day and by night.

Blue is the reference, orange what is current; they are told apart by people who see few colours, too.
"""

REFERENCE = "#0072B2"
CURRENT = "#E69F00"
WATCH = "#CC79A7"
CRITICAL = "#D55E00"
FINE = "#8A8F98"
#: Further series, beside the four above.
SERIES = (CURRENT, REFERENCE, "#009E73", "#56B4E9", WATCH, FINE)

SEVERITIES = {"watch": WATCH, "warning": CURRENT, "critical": CRITICAL}


def washed(colour: str, alpha: float) -> str:
    """A hue as a translucent wash.

    >>> washed("#0072B2", 0.25)
    'rgba(0,114,178,0.25)'
    """
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
