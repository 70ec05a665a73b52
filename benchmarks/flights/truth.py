"""Was it true? What was told is held against the rows themselves, by counts and permutations of whole days.

Nothing here comes from `drift`. A stretch is compared with January: the distance of a column (Kolmogorov and Smirnov's,
or the total variation of levels), or the loss per row. Rows of one day hang together, so chance is judged by days: two
days and more by exchanging whole days between the stretch and January, less by the same hours of each day in January.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.flights.table import JANUARY_ENDS, TIME, Model

Verdict = Literal["true", "trivial", "usual", "false"]
VERDICTS: tuple[Verdict, ...] = ("true", "trivial", "usual", "false")
Effect = Callable[[np.ndarray, np.ndarray], float]
HOUR = pd.Timedelta("1h")
_BINS, _EXCHANGES, _DAY = 200, 999, 24
DISTANCE, LOSS_SHARE = 0.05, 0.05
JANUARY = 31 * _DAY


class Found(NamedTuple):
    """An effect over a stretch against January (a distance, or a share of January's loss), and chance's share."""

    effect: float
    chance: float
    verdict: Verdict


class _Judged(NamedTuple):
    effect: float
    chance: float
    rare: float


class Truth:
    """Hourly counts of every column and hourly sums of every loss over the year, of one model's answers."""

    def __init__(self, model: Model, answered: pd.DataFrame, seed: int = 1) -> None:
        self._rng = np.random.default_rng(seed)
        self._hour = hour = ((answered[TIME] - pd.Timestamp("2013-01-01", tz="UTC")) // HOUR).to_numpy(np.int64)
        self._hours = int(hour.max()) + 1
        january = (answered[TIME] < JANUARY_ENDS).to_numpy()
        self._counts: dict[str, np.ndarray] = {}
        self._ordered: dict[str, bool] = {}
        named = {"p": "score", "hat": "prediction"}
        for name in [name for name in model.columns if name not in (TIME, "y")]:
            cells, ordered = _places(answered[name], january)
            flat = np.bincount(hour * (cells.max() + 1) + cells, minlength=self._hours * (cells.max() + 1))
            self._counts[named.get(name, name)] = flat.reshape(self._hours, -1)
            self._ordered[named.get(name, name)] = ordered
        self.losses = {name: _by_hour(hour, loss, self._hours) for name, loss in losses(model, answered).items()}
        self._rows = np.bincount(hour, minlength=self._hours)

    @property
    def names(self) -> set[str]:
        """Columns by the names that are told."""
        return set(self._counts)

    def column(self, name: str, start: pd.Timestamp, end: pd.Timestamp) -> Found:
        """How far a column has moved in a stretch.

        Two statistics are asked, each at half the chance: the distance itself, and the share that has changed most in
        units of its own spread over January's days, so that values which January hardly had are not outvoted.
        """
        counts, ordered = self._counts[name], self._ordered[name]

        def shares(rows: np.ndarray) -> np.ndarray:
            parts = rows / np.maximum(rows.sum(axis=-1, keepdims=True), 1)
            # The last place of an ordered column holds its nulls.
            return np.concatenate([np.cumsum(parts[..., :-1], axis=-1), parts[..., -1:]], axis=-1) if ordered else parts

        spread = shares(counts[:JANUARY].reshape(31, _DAY, -1).sum(axis=1)).std(axis=0) + 0.002

        def distance(taken: np.ndarray, against: np.ndarray) -> float:
            apart = np.abs(shares(taken) - shares(against))
            return float(apart.max() if ordered else apart.sum() / 2)

        def unusual(taken: np.ndarray, against: np.ndarray) -> float:
            return float((np.abs(shares(taken) - shares(against)) / spread).max())

        effect, chance, rare = self._judge(counts, start, end, distance)
        chance = min(chance, self._judge(counts, start, end, unusual).chance)
        return Found(effect, chance, _verdict(effect >= DISTANCE, chance <= rare))

    def share(self, rows: np.ndarray, start: pd.Timestamp, end: pd.Timestamp) -> Found:
        """How far the share of some rows has moved."""

        def apart(taken: np.ndarray, against: np.ndarray) -> float:
            return abs(_share(taken) - _share(against))

        effect, chance, rare = self._judge(self._hits(rows), start, end, apart)
        return Found(effect, chance, _verdict(effect >= DISTANCE, chance <= rare))

    def shares(self, rows: np.ndarray, start: pd.Timestamp, end: pd.Timestamp, step: pd.Timedelta) -> tuple:
        """Share of some rows in January, and since every window between start and end, float64 [windows].

        A sentence tells the share as it stands: the windows in which the change was under way may be left out.
        """
        hits, last = self._hits(rows), max(self._hour_of(end), self._hour_of(start) + 1)
        starts = range(self._hour_of(start), last, max(1, step // HOUR))
        return _share(hits[:JANUARY].sum(axis=0)), np.array([_share(hits[at:last].sum(axis=0)) for at in starts])

    def _hits(self, rows: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(self._hour, weights=of, minlength=self._hours) for of in (rows, ~rows)], axis=1)

    def loss(self, name: str, start: pd.Timestamp, end: pd.Timestamp) -> Found:
        """How much a loss per row has grown in a stretch, as a share of January's."""
        sums = self.losses[name]

        def growth(taken: np.ndarray, against: np.ndarray) -> float:
            return float((taken[1] / max(taken[0], 1)) / (against[1] / against[0]) - 1)

        effect, chance, rare = self._judge(sums, start, end, growth)
        return Found(effect, chance, _verdict(effect >= LOSS_SHARE, chance <= rare))

    def worst_loss(self, start: pd.Timestamp, end: pd.Timestamp) -> Found:
        """The loss that has grown most certainly."""
        losses = [self.loss(name, start, end) for name in self.losses]
        return min(losses, key=lambda loss: (VERDICTS.index(loss.verdict), loss.chance, -loss.effect))

    def volume(self, start: pd.Timestamp, end: pd.Timestamp) -> Found:
        """How the number of rows an hour differs from the same hours of January's days, as a share."""
        first, last = self._hour_of(start), self._hour_of(end)
        taken, whole = self._rows[first:last].sum(), self._rows[:JANUARY].sum() * (last - first) / JANUARY
        days = [self._rows[s : s + last - first].sum() for s in range(first % _DAY, JANUARY - (last - first), _DAY)]
        outside = not days or taken < min(days) or taken > max(days)
        return Found(float(taken / whole - 1), 0.0 if outside else 1.0, "true" if outside else "false")

    def _hour_of(self, moment: pd.Timestamp) -> int:
        return int((moment - pd.Timestamp("2013-01-01", tz="UTC")) // HOUR)

    def _judge(self, hourly: np.ndarray, start: pd.Timestamp, end: pd.Timestamp, effect: Effect) -> _Judged:
        """Effect of a stretch, how often chance reaches it, and up to where that is rare."""
        first, last = self._hour_of(start), max(self._hour_of(end), self._hour_of(start) + 1)
        first = JANUARY if first < JANUARY < last - 2 * _DAY else first  # What is said of January is said of the rest.
        if last - first < 2 * _DAY:
            return _by_placement(hourly, first, last, effect)
        starts = np.arange(first, last, _DAY)
        blocks = np.stack([hourly[at : min(at + _DAY, last)].sum(axis=0) for at in starts])
        january = hourly[:JANUARY].reshape(31, _DAY, -1).sum(axis=1)
        if first < JANUARY:  # A stretch of January against the rest of it.
            january = np.delete(january, np.unique(np.arange(first, min(last, JANUARY)) // _DAY), axis=0)
            if not len(january):
                return _Judged(0.0, 1.0, 0.01)
        every = np.concatenate([blocks, january])
        found = effect(blocks.sum(axis=0), january.sum(axis=0))
        reached = 0
        for _ in range(_EXCHANGES):
            order = self._rng.permutation(len(every))
            taken, rest = every[order[: len(blocks)]].sum(axis=0), every[order[len(blocks) :]].sum(axis=0)
            reached += effect(taken, rest) >= found
        return _Judged(found, (1 + reached) / (1 + _EXCHANGES), 0.01)


def _verdict(large: bool, rare: bool) -> Verdict:
    return ("true" if large else "trivial") if rare else ("usual" if large else "false")


def _share(counts: np.ndarray) -> float:
    return float(counts[0] / max(counts.sum(), 1))


def _by_placement(hourly: np.ndarray, first: int, last: int, effect: Effect) -> _Judged:
    """A stretch of hours against the same hours of January's days."""
    length, whole = last - first, hourly[:JANUARY].sum(axis=0)
    found = effect(hourly[first:last].sum(axis=0), whole)
    places = range(first % _DAY, JANUARY - length + 1, _DAY)
    alike = [hourly[at : at + length].sum(axis=0) for at in places if at != first]
    others = [effect(own, whole - own) for own in alike if own[0] or own.sum()]
    rare = 1 / (1 + len(others))
    return _Judged(found, (1 + sum(other >= found for other in others)) * rare, rare + 1e-9)


def losses(model: Model, answered: pd.DataFrame) -> dict[str, np.ndarray]:
    """Losses of each row by name; NaN where nobody knows the label."""
    known = answered["y"].notna().to_numpy()
    if model.task == "regression":
        error = answered["p"].to_numpy() - answered["y"].to_numpy(np.float64)
        return {"mae": np.abs(error), "rmse": error**2}
    wrong = np.where(known, answered["hat"] != answered["y"], np.nan).astype(float)
    hit = (answered["y"] == "late" if model.task == "binary" else answered["y"] == answered["hat"]).to_numpy(float)
    p = answered["p"].to_numpy()
    brier = np.where(known, (p - hit) ** 2, np.nan)
    log_loss = np.where(known, -np.log(np.clip(np.where(hit > 0, p, 1 - p), 1e-6, 1)), np.nan)
    return {"error": wrong, "brier": brier, "log_loss": log_loss}


def _by_hour(hour: np.ndarray, loss: np.ndarray, hours: int) -> np.ndarray:
    known = np.isfinite(loss)
    rows = np.bincount(hour[known], minlength=hours)
    return np.stack([rows, np.bincount(hour[known], weights=loss[known], minlength=hours)], axis=1)


def _places(values: pd.Series, january: np.ndarray) -> tuple[np.ndarray, bool]:
    """A bin or level of each row, int64 [rows], and whether they are in an order; nulls come last."""
    if values.dtype == object:
        codes, levels = pd.factorize(values)
        return np.where(codes < 0, len(levels), codes).astype(np.int64), False
    known = values[january].dropna().to_numpy(np.float64)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS)))
    cells = np.searchsorted(edges, values.to_numpy(np.float64), side="right")
    return np.where(values.isna(), len(edges) + 1, cells).astype(np.int64), True
