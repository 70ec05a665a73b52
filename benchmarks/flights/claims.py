"""What a sentence claims of a column: which rows, and their shares before and now."""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

_WHAT = (
    r"(?:(?P<null>null values)|the share of values (?:of (?P<ge>\S+) or more|above (?P<gt>\S+)|below (?P<lt>\S+)"
    r"|of (?P<le>\S+) or less|of exactly (?P<exact>\S+))|levels? (?P<levels>.+?))"
)
_SAID = re.compile(
    r"^(?P<name>\S+) (?:moved|is gone|has [^:]*): "
    + _WHAT
    + r" (?:rose|fell) from (?P<was>\S+) % in the reference data to (?P<now>\S+) % since (?P<since>\S+Z)"
)
#: Shares are told in per cent, with three digits; edges with five.
ROUNDING = 0.012


class Claim(NamedTuple):
    """A column, the rows of it that are spoken of, bool [rows], since when, and their shares before and now."""

    name: str
    rows: np.ndarray
    since: pd.Timestamp
    was: float
    now: float


def claim(text: str, answered: pd.DataFrame) -> Claim | None:
    """Read a sentence; None where it claims nothing that can be counted here."""
    match = _SAID.match(text)
    if match is None:
        return None
    column = answered.get({"score": "p", "prediction": "hat"}.get(match["name"], match["name"]))
    if column is None or "unseen" in (match["levels"] or "") or "other" in (match["levels"] or ""):
        return None
    if match["null"]:
        rows = column.isna()
    elif match["levels"]:
        rows = column.isin(re.split(r", | and ", match["levels"]))
    elif match["exact"]:
        rows = np.isclose(column.astype(float), float(match["exact"]), rtol=1e-4)
    else:
        side = next(name for name in ("ge", "gt", "lt", "le") if match[name])
        rows = getattr(column, side)(float(match[side]))
    shares = float(match["was"]) / 100, float(match["now"]) / 100
    return Claim(match["name"], np.asarray(rows, bool), pd.Timestamp(match["since"]), *shares)
