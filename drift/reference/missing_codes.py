"""Numbers that stand for "missing": nines alone, far from all other values, in many rows."""

import numpy as np

from drift.cells.binning import Ordered

#: Rows, and their share, up to which a far value is taken for a true one.
_ROWS, _SHARE = 4, 0.001
_NINES = frozenset(sign * (10.0**digits - 1) for digits in range(2, 8) for sign in (1, -1))


def code_note(name: str, values: Ordered) -> str:
    """Say which value is probably a code for a missing one; empty where none is.

    Parameters
    ----------
    name
        What the values are of.
    values
        Its finite values.

    >>> from drift.cells.binning import Sorted
    >>> code_note("label 'fare'", Sorted(np.float32([12.5, 30, -999, 8, 61] * 10)))
    "label 'fare': 20 % of its values are -999, far from all others, which lie between 8 and 61: perhaps a code for a missing value; make it null, else it counts as a number"
    >>> code_note("'age'", Sorted(np.arange(100, dtype=np.float32).repeat(9)))
    ''
    """  # noqa: E501
    total = values.rows(np.zeros(0, np.float32))
    for code in values.masses(_SHARE):
        if float(code) not in _NINES:
            continue
        alone = np.array([code], np.float32)
        others = values.rows(alone)
        if not others or total - others <= _ROWS:
            continue
        low, high = map(float, values.ranked([0, others - 1], alone))
        if min(abs(float(code) - low), abs(float(code) - high)) > high - low:
            return (
                f"{name}: {100 * (total - others) / total:.3g} % of its values are {code:.0f}, far from all others, "
                f"which lie between {low:.6g} and {high:.6g}: perhaps a code for a missing value; make it null, else "
                "it counts as a number"
            )
    return ""
