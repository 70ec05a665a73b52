"""The lag curve: which share of the labels comes by which age, and which share of the predictions has one by then.

Predictions of the last hour can only have shown labels that come within the hour, so a histogram of the delays seen so
far is full of short ones. What was seen of a delay is truncated on the right: it was seen because it was at most as
long as its prediction is old. Looked at from the far end that does no harm: of the labels with a delay of at most
``x``, whose predictions are old enough to have shown them all, the share whose delay is ``x`` itself (the reversed
hazard ``r``) is a plain proportion, and ``F(x) = prod over y > x of (1 - r(y))`` (Lynden-Bell, 1971; Kalbfleisch and
Lawless, 1989; the chain ladder of actuaries). Nothing is known beyond the oldest age, where F is 1.

How many of the predictions ever get a label follows from those that have one by now: ``labels / sum of F(age)`` over
predictions (the Cape Cod method). Times F, that is the coverage to expect by an age.
"""

from typing import NamedTuple

import numpy as np

#: Ages double every two buckets, from a second on.
BUCKETS_A_DOUBLING = 2
#: An age of which fewer labels are known says nothing.
LABELS_MIN = 30


class LagCurve(NamedTuple):
    """Ages in ms, float64 [ages]; by each, the share of the labels that come within the oldest age, and the share of
    the predictions to expect a label of.

    Examples
    --------
    How long it takes until nine labels in ten have come, out of the store's tables::

        outcomes = drift.load("outcomes", last="30d", model="churn").to_pandas()
        seen = (outcomes.label_ts - outcomes.ts) / pd.Timedelta(1, "ms")
        age = (outcomes.label_ts.max() - outcomes.ts) / pd.Timedelta(1, "ms")
        curve = lag_curve(seen, age)
        curve.ages_ms[np.searchsorted(curve.labels, 0.9)]
    """

    ages_ms: np.ndarray
    labels: np.ndarray
    coverage: np.ndarray


def lag_curve(delays_ms: np.ndarray, ages_ms: np.ndarray) -> LagCurve:
    """Estimate it from predictions, with and without a label.

    Parameters
    ----------
    delays_ms
        From each prediction to its label, float64 [predictions]; NaN where none has come. Those alone that have
        one may be given, too: then the coverage means nothing.
    ages_ms
        How old each prediction was when last looked, float64 [predictions].

    >>> hour = 3_600_000
    >>> lag_curve([hour / 2] * 40 + [np.nan] * 40, [3 * hour] * 80).coverage.tolist()
    [0.5, 0.5, 0.5, 0.5, 0.5]
    """
    delays, ages = np.asarray(delays_ms, np.float64), np.asarray(ages_ms, np.float64)
    known = ~np.isnan(delays)
    size = int(buckets(ages).max(initial=0)) + 1
    counts = np.zeros((size, size), np.int64)
    inside = known & (buckets(np.where(known, delays, 0.0)) < size)
    np.add.at(counts, (buckets(ages[inside]), buckets(delays[inside])), 1)
    return of_counts(counts, np.bincount(buckets(ages), minlength=size))


def of_counts(counts: np.ndarray, rows: np.ndarray) -> LagCurve:
    """Estimate it from counts.

    Parameters
    ----------
    counts
        Labels by the bucket of their prediction's age and the bucket of their delay, int64 [ages, delays].
    rows
        Predictions by the bucket of their age, int64 [ages].
    """
    size = len(rows)
    # A prediction is in the midst of its own bucket: only the delays before that were seen in full.
    full = np.where(np.arange(size)[:, None] > np.arange(size), counts, 0)
    at_most = np.cumsum(full, axis=1)
    seen = np.array([full[delay + 1 :, delay].sum() for delay in range(size)])
    risk = np.array([at_most[delay + 1 :, delay].sum() for delay in range(size)])
    firm = np.flatnonzero(risk >= LABELS_MIN)
    if not len(firm):
        return LagCurve(*(np.zeros(0) for _ in range(3)))
    below = 1 - seen[firm] / risk[firm]
    labels = np.append(np.cumprod(below[:0:-1])[::-1], 1.0)  # What all later delays leave.
    old = np.arange(firm[0] + 1, size)
    until = np.searchsorted(firm, old) - 1
    share = at_most[old, firm[until]].sum() / max(1.0, float(rows[old] @ labels[until]))
    return LagCurve(2.0 ** (firm / BUCKETS_A_DOUBLING) * 1000, labels, share * labels)


def buckets(lengths_ms: np.ndarray) -> np.ndarray:
    """Bucket of each length, int64: up to a second, then two for each doubling.

    >>> buckets(np.array([0.0, 999.0, 1000.0, 1500.0, 2000.0])).tolist()
    [0, 0, 1, 2, 3]
    """
    seconds = np.maximum(np.asarray(lengths_ms, np.float64), 0.0) / 1000
    numbers: np.ndarray = np.where(
        seconds < 1, 0, 1 + np.floor(BUCKETS_A_DOUBLING * np.log2(np.maximum(seconds, 1)))
    ).astype(np.int64)
    return numbers
