"""Spelling: one way of writing a share, a size, a time and a list of names, for all that incidents say."""

import datetime as dt
from collections.abc import Sequence

#: Said after a figure of the rows that later ones are compared with: training rows, held-out ones, or accepted ones.
IN_REFERENCE = " in the reference data"


def percent(share: float, digits: int = 1) -> str:
    """Spell a share.

    >>> [percent(share) for share in (0.0731, 0.0, 0.99961, 0.0004)]
    ['7.3 %', '0 %', '100 %', '0.04 %']
    """
    value = 100 * share
    if value < 1:
        return f"{value:.{digits}g} %"
    text = f"{value:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + " %"


def number(value: float, digits: int = 2) -> str:
    """Spell a size.

    >>> number(0.07312), number(0.0)
    ('0.073', '0')
    """
    return f"{value:.{digits}g}"


def spell(metric: str, value: float, more: int = 0) -> str:
    """Spell a figure: accuracy and shares of rows in percent, all others as numbers; with more digits where asked.

    Parameters
    ----------
    metric
        Name of the figure, which decides between percent and number.
    more
        Digits beyond the usual three.

    >>> spell("accuracy", 0.79), spell("mae", 1.0123)
    ('79 %', '1.01')
    """
    return percent(value, 1 + more) if metric in ("accuracy", "share") else number(value, 3 + more)


def from_to(metric: str, was: float, now: float, origin: str = "") -> str:
    """Spell a change with as many digits as it takes to see it; ``origin`` says where the first figure is from.

    Parameters
    ----------
    metric
        Name of the figure, which decides between percent and number.
    was, now
        Values before and after.
    origin
        Words behind the first figure.

    >>> from_to("accuracy", 0.79, 0.63), from_to("accuracy", 0.9971, 0.9968), from_to("log_loss", 0.51212, 0.51248)
    ('from 79 % to 63 %', 'from 99.71 % to 99.68 %', 'from 0.5121 to 0.5125')
    >>> from_to("share", 0.1, 0.0, IN_REFERENCE)
    'from 10 % in the reference data to 0 %'
    """
    for more in range(4):
        texts = spell(metric, was, more), spell(metric, now, more)
        if texts[0] != texts[1]:
            break
    return f"from {texts[0]}{origin} to {texts[1]}"


def listed(names: Sequence[str]) -> str:
    """Join names as people do.

    >>> listed(["16"]), listed(["16", "17", "0"])
    ('16', '16, 17 and 0')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def rfc3339(ms: int) -> str:
    """Spell an event time.

    >>> rfc3339(60_000)
    '1970-01-01T00:01:00Z'
    """
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
