"""Verdicts: three words for an effect, by its interval against its tolerance."""

from typing import Literal

Word = Literal["unchanged", "unclear", "changed"]


def word(low: float, high: float, tolerance: float) -> Word:
    """Say whether an effect is below its tolerance for certain, above it for certain, or neither.

    Parameters
    ----------
    low, high
        Ends of the effect's 95 % interval.
    tolerance
        Size from which on an effect matters, in the effect's unit.

    >>> word(0.0, 0.03, 0.05), word(0.0, 0.09, 0.05), word(0.06, 0.09, 0.05)
    ('unchanged', 'unclear', 'changed')
    """
    if high < tolerance:
        return "unchanged"
    return "changed" if low > tolerance else "unclear"
