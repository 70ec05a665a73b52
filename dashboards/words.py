"""How figures are written: three significant digits, a unit on each, times in the reader's zone.

A number that is missing is an en dash, so that a table keeps its columns.
"""
# ruff: noqa: RUF001 (minus signs and dashes are meant)

import math
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

NOTHING = "–"
MINUS = "−"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SPANS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def figure(value: float | None, signed: bool = False) -> str:
    """Three significant digits, thousands apart.

    >>> [figure(v) for v in (0.04137, 0.1, 69126, 0, -0.004, 1_234_567, None)]
    ['0.0414', '0.1', '69,126', '0', '−0.004', '1.23 M', '–']
    >>> figure(0.25, signed=True)
    '+0.25'
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    size = abs(value)
    if size >= 1e6:
        text = f"{size / 1e6:.3g} M" if size < 1e9 else f"{size / 1e9:,.4g} G"
    elif size >= 1000:
        text = f"{size:,.0f}"
    else:
        text = f"{size:.3g}" if size >= 1e-4 or size == 0 else f"{size:.0e}"
    sign = MINUS if value < 0 else "+" if signed and value > 0 else ""
    return sign + text


def interval(low: float | None, high: float | None) -> str:
    """Both ends of an interval.

    >>> interval(0.0649, 0.0847)
    '[0.0649, 0.0847]'
    """
    return f"[{figure(low)}, {figure(high)}]"


def share(value: float | None, signed: bool = False) -> str:
    """A share of rows in per cent.

    >>> [share(v) for v in (0.0731, 0.0, 1.0, 0.00004, None)]
    ['7.31 %', '0 %', '100 %', '0.004 %', '–']
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    percent = value * 100
    text = f"{abs(percent):.3g}" if abs(percent) >= 0.001 or percent == 0 else "< 0.001"
    sign = MINUS if value < 0 else "+" if signed and value > 0 else ""
    return f"{sign}{text} %"


def points(value: float | None) -> str:
    """A difference of two shares, in percentage points.

    >>> points(-0.0394)
    '−3.94'
    """
    return figure(None if value is None else value * 100, signed=True)


def evidence(value: float | None) -> str:
    """An e-value: small ones as they are, large ones as a power of ten.

    >>> [evidence(v) for v in (0.31, 12.4, 4e4, 2.3e19, math.inf)]
    ['0.31', '12.4', '40,000', '2 × 10¹⁹', '> 10³⁰⁸']
    """
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return f"> {power_of_ten(308)}"
    if abs(value) < 1e6:
        return figure(value)
    digits, power = f"{value:.0e}".split("e")
    return ("" if digits == "1" else f"{digits} × ") + power_of_ten(int(power))


def power_of_ten(exponent: int) -> str:
    """Ten to a whole number.

    >>> power_of_ten(19), power_of_ten(-2)
    ('10¹⁹', '10⁻²')
    """
    return "10" + str(exponent).translate(_SUPERSCRIPT)


def span(milliseconds: float | None) -> str:
    """A length of time in its largest fitting unit.

    >>> [span(v) for v in (31, 400, 3_200, 720_000, 5_400_000, 200_000_000)]
    ['31 ms', '400 ms', '3.2 s', '12 min', '1.5 h', '2.3 d']
    """
    if milliseconds is None or not math.isfinite(milliseconds):
        return NOTHING
    for length, unit in _SPANS:
        if abs(milliseconds) >= length:
            return (
                f"{milliseconds / length:.2g} {unit}"
                if milliseconds < length * 10
                else f"{milliseconds / length:.0f} {unit}"
            )
    return f"{milliseconds:.3g} ms"


def zone(name: str | None) -> tzinfo:
    """The reader's time zone; UTC where the name is missing or unknown.

    >>> str(zone("Europe/Rome")), zone("No/Where") is UTC
    ('Europe/Rome', True)
    """
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


class Beside(NamedTuple):
    """What a reader sees a time beside: the end of the range that a page shows, and now; both in ms."""

    end_ms: int
    now_ms: int


def clock(ms: int | None, where: tzinfo = UTC, beside: Beside | None = None, *, seconds: bool = False) -> str:
    """A time of day; with its date unless the range ends on that day today; with the year unless all is of this year.

    Parameters
    ----------
    ms
        Since 1970, UTC; None is shown as a dash.
    where
        The zone that it is shown in.
    beside
        The end of the shown range, and now; without it date and year are always said.
    seconds
        Say the seconds, too.

    >>> clock(1_790_003_520_000)
    'Sep 21, 2026, 15:12'
    >>> later = 1_790_000_000_000
    >>> clock(1_790_003_520_000, beside=Beside(later, later)), clock(1_788_000_000_000, beside=Beside(later, later))
    ('15:12', 'Aug 29, 10:40')
    >>> clock(1_790_003_520_000, beside=Beside(later, later + 10**11))
    'Sep 21, 2026, 15:12'
    """
    if ms is None:
        return NOTHING
    then = at(ms, where)
    time = f"{then:%H:%M:%S}" if seconds else f"{then:%H:%M}"
    others = [at(other, where) for other in beside or ()]
    if others and others[0].date() == then.date() and others[0].year == others[1].year:
        return time
    this_year = bool(others) and all(other.year == then.year for other in others)
    return f"{then:%b} {then.day}{'' if this_year else f', {then.year}'}, {time}"


def utc(ms: int | None) -> str:
    """The full time in UTC, for hovers and machines.

    >>> utc(1_790_003_520_000)
    '2026-09-21 15:12:00 UTC'
    """
    return NOTHING if ms is None else f"{at(ms, UTC):%Y-%m-%d %H:%M:%S} UTC"


def at(ms: int, where: tzinfo = UTC) -> datetime:
    """A wire time as a datetime in a zone."""
    return datetime.fromtimestamp(ms / 1000, where)


def listed(names: list[str], most: int = 3) -> str:
    """Names as one speaks them; never "and 1 more", which would be no shorter.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c", "d"]), listed(["a", "b", "c", "d", "e"])
    ('a', 'a and b', 'a, b, c and d', 'a, b, c and 2 more')
    """
    if len(names) > most + 1:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def verdict(low: float, high: float, tolerance: float) -> str:
    """One of three words for an effect: below its tolerance for certain, above it for certain, or neither.

    Parameters
    ----------
    low, high
        The interval of the effect.
    tolerance
        Effects up to this do no harm; in the unit of the effect.

    >>> verdict(0.0, 0.03, 0.05), verdict(0.0, 0.09, 0.05), verdict(0.06, 0.09, 0.05)
    ('unchanged', 'unclear', 'changed')
    """
    if high < tolerance:
        return "unchanged"
    return "changed" if low > tolerance else "unclear"


_ACTS = {"acknowledge": "acknowledged", "mute": "muted", "rebaseline": "made the new normal"}


def step(event: str, act: str, reach: str, page: bool) -> str:
    """What an event of an incident's life was, in a word or three.

    Parameters
    ----------
    event, act, reach, page
        As of the alert.

    >>> step("open", "", "page", True), step("update", "mute", "chat", False), step("update", "", "list", False)
    ('opened and paged', 'muted', 'noted')
    """
    if act:
        return _ACTS.get(act, act)
    if page:
        return "opened and paged" if event == "open" else "paged"
    return {"open": "opened", "close": "closed"}.get(event, "told" if reach == "chat" else "noted")


def distance(statistic: str) -> str:
    """A distance between two distributions as people write it.

    >>> distance("ks"), distance("tvd")
    ('KS distance', 'total variation distance')
    """
    return "total variation distance" if statistic == "tvd" else f"{statistic.upper()} distance"


_METRICS = {"accuracy": "accuracy", "brier": "Brier score", "r2": "R²", "log_loss": "log loss"}


def metric(name: str) -> str:
    """A metric as people write it.

    >>> [metric(name) for name in ("auc", "rmse", "brier", "pinball_loss")]
    ['AUC', 'RMSE', 'Brier score', 'pinball loss']
    """
    return _METRICS.get(name) or (name.upper() if len(name) <= 4 else name.replace("_", " "))


def plural(count: float, singular: str, many: str = "") -> str:
    """A count with its noun.

    Parameters
    ----------
    singular
        The noun, or the words behind a count of 1.
    many
        The words behind other counts; without them the singular and an "s".

    >>> plural(1, "column"), plural(3, "column"), plural(2, "has moved", "have moved")
    ('1 column', '3 columns', '2 have moved')
    """
    return f"{figure(count)} {singular if count == 1 else many or singular + 's'}"
