"""The accounts: what became of each message, from the records that were written of it."""

import re
from collections import Counter
from typing import Any

import msgspec
import numpy as np

from benchmarks.fuzz.messages import message
from streams.wire import observation
from streams.wire.effects import Headers
from streams.wire.records import Prediction

_ROW = re.compile(r"\$\[(\d+)\]")
_PREDICTION = msgspec.json.Decoder(Prediction)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a run gave. ``early_mb`` and ``late_mb`` are the process's own memory, without the pages of libraries, after
    a tenth of the run and at its end.
    """

    seconds: float
    predictions: int
    dead_letters: int
    reasons: dict[str, int]
    crashes: int = 0
    early_mb: float
    late_mb: float
    wrong: list[str]


class Accounts:
    """Counts, by message, of whatever was written.

    Message ``n`` lies at offset ``n // partitions`` of partition ``n % partitions``, and its key begins with ``n``.

    Parameters
    ----------
    rows
        Messages that are sent.
    partitions
        Of the requests.
    """

    def __init__(self, rows: int, partitions: int = 1) -> None:
        self._partitions = partitions
        # Full, and not zeros: memory that is touched later would count as growth.
        self.predictions = np.full(rows, 0, np.int32)
        self.letters = np.full(rows, 0, np.int32)  # for a whole message
        self.placed = np.full(rows, 0, np.int32)  # rows observed, or refused alone
        self.observed = np.full(rows, 0, np.int32)
        self._highest = np.full(rows, 0, np.int64)  # row + 1
        self._sums = np.full(rows, 0, np.int64)  # of rows
        self.reasons: Counter[str] = Counter()
        self.broken: list[str] = []

    def take(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None) -> None:
        """One record of predictions, observations or dead letters."""
        if topic == "predictions":
            _PREDICTION.decode(value or b"")
            self.predictions[number(key)] += 1
        elif topic == "observations":
            head, batch = observation.decode(value or b"")
            at = batch["offset"].to_numpy() * self._partitions + head.partition
            self._place(at, batch["row"].to_numpy())
            np.add.at(self.observed, at, 1)
        else:
            said = {name: text.decode() for name, text in headers or () if name.startswith("driftline-") and text}
            n = int(said["driftline-offset"]) * self._partitions + int(said["driftline-partition"])
            self.reasons[said["driftline-reason"]] += 1
            if said["driftline-detail"].startswith("unforeseen"):
                self.broken.append(f"message {n}: {said['driftline-detail']}")
            row = _ROW.match(said["driftline-field"])
            if row is None:
                self.letters[n] += 1
            else:
                self._place(np.array([n]), np.array([int(row[1])]))

    def _place(self, at: np.ndarray, rows: np.ndarray) -> None:
        np.add.at(self.placed, at, 1)
        np.add.at(self._sums, at, rows)
        np.maximum.at(self._highest, at, rows + 1)

    def found(self, seed: int, **more: Any) -> Found:
        """All of it, added up."""
        reasons, wrong = dict(self.reasons.most_common()), self.broken + self.wrong(seed)
        sums = {"predictions": int(self.predictions.sum()), "dead_letters": self.reasons.total()}
        return Found(**sums, reasons=reasons, wrong=wrong, **more)

    def answered(self) -> int:
        """Messages that have an outcome."""
        return int(((self.predictions + self.letters + self.placed) > 0).sum())

    def wrong(self, seed: int, first: int = 0, stop: int | None = None) -> list[str]:
        """Messages with less or more than one outcome, or another than their making promises; each in a sentence.

        One outcome is a letter for the whole, or for each row, numbered from 0 without a gap, either a prediction with
        its observation or a letter of its own.
        """
        own = slice(first, stop)
        whole = self.letters[own] == 1
        by_row = (self._highest[own] == self.placed[own]) & (
            self._sums[own] == self.placed[own].astype(np.int64) * (self.placed[own] - 1) // 2
        )
        single = whole & (self.placed[own] == 0) & (self.predictions[own] == 0)
        rows = (
            (self.letters[own] == 0) & (self.placed[own] > 0) & by_row & (self.predictions[own] == self.observed[own])
        )
        found = [f"{self._say(n + first, seed)}" for n in np.flatnonzero(~(single | rows)).tolist()[:20]]
        for n in range(first, first + len(whole)):
            made = message(seed, n)
            if made.answers is not None and made.answers != self.predictions[n]:
                found.append(f"{self._say(n, seed)}; it must get {made.answers}")
        return found

    def _say(self, n: int, seed: int) -> str:
        return (
            f"seed {seed}, message {n} ({message(seed, n).kind}): {self.predictions[n]} predictions, "
            f"{self.observed[n]} observations, {self.letters[n]} letters for all of it, {self.placed[n]} rows placed"
        )


def number(key: bytes | None) -> int:
    """A message's number, from its key."""
    return int((key or b"").partition(b"/")[0])
