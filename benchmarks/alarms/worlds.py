"""Worlds: where rows come from in a simulation, and what may happen to one column of them."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from drift import Reference

#: Windows that are drawn at a time: a thousand columns of them are still small.
CHUNK = 10

Draw = Callable[[np.random.Generator, int, int], np.ndarray]
Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


class World(NamedTuple):
    """Rows of ``features`` columns, ``draw(rng, rows, features)`` float32 [rows, features], in windows of
    ``rows(rng)`` rows. Of every ten columns, ``levels`` hold levels, and ``moved`` may change.
    """

    name: str
    draw: Draw
    features: int = 20
    rows: Callable[[np.random.Generator], int] = lambda rng: 200
    reference_rows: int = 10_000
    levels: tuple[int, ...] = ()
    moved: tuple[int, ...] = tuple(range(10))

    def reference(self, rng: np.random.Generator) -> Reference:
        """Fit a reference to rows of its own."""
        names = [f"x{k}" for k in range(self.features)]
        kinds = {f"x{k}": "categorical" for k in range(self.features) if k % 10 in self.levels}
        return Reference.fit(
            pd.DataFrame(self.draw(rng, self.reference_rows, self.features), columns=names), kinds=kinds
        )

    def column(self, run: int) -> int:
        """The column that changes in a run."""
        whole, place = divmod(run, len(self.moved))
        return (10 * whole + self.moved[place]) % self.features

    def windows(
        self,
        reference: Reference,
        rng: np.random.Generator,
        number: int,
        after: int,
        column: int,
        change: Change | None,
    ) -> Iterator[np.ndarray]:
        """Counts of each window, int64 [cells]; from window ``after`` on one column is changed."""
        for first in range(0, number, CHUNK):
            sizes = np.array([self.rows(rng) for _ in range(min(CHUNK, number - first))])
            x = self.draw(rng, int(sizes.sum()), self.features)
            if change is not None and first + len(sizes) > after:
                row = int(sizes[: max(0, after - first)].sum())
                x[row:, column] = change(x[row:, column], float(reference.spread[column]), rng)
            yield from count(reference, x, sizes)


def count(reference: Reference, x: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Count rows window by window, int64 [windows, cells]."""
    window = np.repeat(np.arange(len(sizes)), sizes)
    found = [
        np.bincount(window * cells.size + cells.index(x[:, k]), minlength=len(sizes) * cells.size)
        for k, cells in enumerate(reference.columns)
    ]
    return np.concatenate([counts.reshape(len(sizes), -1) for counts in found], axis=1)


# --- rows -------------------------------------------------------------------------------------------


def normal(rng: np.random.Generator, rows: int, features: int) -> np.ndarray:
    """Independent normal columns."""
    return rng.standard_normal((rows, features), dtype=np.float32)


def heavy(rng: np.random.Generator, rows: int, features: int) -> np.ndarray:
    """Student's t with two degrees of freedom, and lognormal, in turns."""
    x = rng.standard_t(2, (rows, features)).astype(np.float32)
    x[:, 1::2] = np.exp(rng.standard_normal((rows, features // 2), dtype=np.float32))
    return x


def rare(rng: np.random.Generator, rows: int, features: int) -> np.ndarray:
    """Ten kinds of column in turns: 97 % zeros and exponential values; a level of 1 % in two; four levels, the rarest
    of half a per cent; 2 % null in a normal; ninety levels that thin out; and normal ones.
    """
    x = rng.standard_normal((rows, features), dtype=np.float32)
    for k in range(features):
        match k % 10:
            case 0 | 5:
                x[:, k] = np.where(rng.random(rows) < 0.97, 0.0, rng.exponential(1.0, rows))
            case 1 | 6:
                x[:, k] = rng.random(rows) < 0.01
            case 2 | 7:
                x[:, k] = rng.choice(4, rows, p=[0.9, 0.08, 0.015, 0.005])
            case 3:
                x[rng.random(rows) < 0.02, k] = np.nan
            case 8:
                x[:, k] = np.minimum(rng.geometric(0.1, rows), 90)
    return x


#: Levels of a column that has them all alike; exponents of the law of Zipf, by which some are common and most are not.
_ALIKE = {0: 500, 1: 90, 2: 3_000, 7: 64, 9: 200}
_ZIPF = {3: 1.2, 4: 1.5, 5: 2.2}
#: Whole numbers up to here are exact in float32.
_LARGEST = 2**24


def many(rng: np.random.Generator, rows: int, features: int) -> np.ndarray:
    """Ten kinds of column of levels in turns: 500, 90, 3,000, 64 and 200 that are alike; by the law of Zipf, in three
    steepnesses; geometric; and identifiers, which hardly ever come twice.
    """
    x = np.empty((rows, features), np.float32)
    for k in range(features):
        if k % 10 in _ALIKE:
            x[:, k] = rng.integers(0, _ALIKE[k % 10], rows)
        elif k % 10 in _ZIPF:
            x[:, k] = np.minimum(rng.zipf(_ZIPF[k % 10], rows), _LARGEST)
        else:
            x[:, k] = rng.geometric(0.02, rows) if k % 10 == 6 else rng.integers(0, _LARGEST, rows)
    return x


MANY_LEVELS, MANY_MOVED = tuple(range(10)), (0, 1, 2, 3, 4, 5, 6, 7, 9)
RARE_LEVELS, RARE_MOVED = (1, 2, 6, 7, 8), (0, 1, 2, 5, 6, 7)


def households(rng: np.random.Generator, rows: int, features: int) -> np.ndarray:
    """Normal rows in households of three that have half of their variance in common."""
    shared = np.repeat(rng.standard_normal((rows // 3 + 1, features), dtype=np.float32), 3, axis=0)[:rows]
    return (shared + rng.standard_normal((rows, features), dtype=np.float32)) / np.float32(np.sqrt(2))


def uneven(rng: np.random.Generator) -> int:
    """Rows of a window: 20 to 20,000, every size alike on the scale of its logarithm."""
    return int(np.exp(rng.uniform(np.log(20), np.log(20_000))))


# --- changes ----------------------------------------------------------------------------------------


def shift(size: float) -> Change:
    """Move a column by so many robust standard deviations."""
    return lambda x, spread, rng: x + np.float32(size * spread)


def scale(factor: float) -> Change:
    """Stretch a column about its median."""
    return lambda x, spread, rng: (np.nanmedian(x) + factor * (x - np.nanmedian(x))).astype(np.float32)


def more_rare(factor: float) -> Change:
    """Make everything but the most usual value so many times as frequent."""

    def change(x: np.ndarray, _spread: float, rng: np.random.Generator) -> np.ndarray:
        values, times = np.unique(x, return_counts=True)
        usual = x == values[times.argmax()]
        share = 1 - usual.mean()
        turned = usual & (rng.random(len(x)) < (factor - 1) * share / (1 - share))
        found = x.copy()
        found[turned] = rng.choice(x[~usual], int(turned.sum()))
        return found

    return change


def newcomers(share: float) -> Change:
    """Give so many rows one level that never was."""

    def change(x: np.ndarray, _spread: float, rng: np.random.Generator) -> np.ndarray:
        return np.where(rng.random(len(x)) < share, np.float32(_LARGEST + 2), x)

    return change


def gather(share: float) -> Change:
    """Give so many rows a tenth of the levels: that of the next tens."""

    def change(x: np.ndarray, _spread: float, rng: np.random.Generator) -> np.ndarray:
        return np.where(rng.random(len(x)) < share, np.floor(x / 10) * 10, x).astype(np.float32)

    return change
