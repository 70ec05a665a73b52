"""Rows meet the model: always in batches of one shape, so that a row's score does not depend on its company.

A batch that fails is tried again, then halved until the rows at fault stand alone; the others get their scores. A row
is at fault only if it fails alone while the blank batch, which passed when the model was loaded, passes again. Else it
is the model that is broken: nobody is blamed, and whoever asked tries again later.
"""

import time
from collections.abc import Callable, Collection
from typing import Annotated

import msgspec
import numpy as np
from tenacity import RetryError, Retrying, stop_after_attempt, wait_exponential

from inference.backends import ArtefactError, Model, contained, error_text
from inference.packages.model_toml import ModelPackage


class ModelBroken(RuntimeError):
    """The model fails on a batch that it took when it was loaded."""


class Patience(msgspec.Struct, frozen=True):
    """How often a failing batch is tried: again at once, then after pauses that double."""

    attempts_max: Annotated[int, msgspec.Meta(ge=2)] = 3
    wait_s_first: float = 0.02
    wait_s_max: float = 1.0


class Failure(msgspec.Struct, frozen=True):
    """Why a row has no score, and how often its batch was tried before it was blamed."""

    why: str
    attempts: int = 1


class Scores(msgspec.Struct, frozen=True):
    """What a model said.

    Attributes
    ----------
    values
        float32 [rows, outputs]; NaN where the row failed.
    failures
        By row.
    """

    values: np.ndarray
    failures: dict[int, Failure]

    def __getitem__(self, rows: slice) -> "Scores":
        first, stop, _ = rows.indices(len(self.values))
        return Scores(
            self.values[rows], {n - first: failure for n, failure in self.failures.items() if first <= n < stop}
        )


class Scorer:
    """A loaded model behind its batch shape.

    Parameters
    ----------
    sleep
        Waits between two tries; tests hand in one that does not.
    """

    def __init__(
        self,
        package: ModelPackage,
        model: Model,
        patience: Patience | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.package = package
        self._model = model
        self._rows = package.limits.batch_rows
        patience = patience or Patience()
        self._attempts = patience.attempts_max
        self._patiently = Retrying(
            stop=stop_after_attempt(patience.attempts_max - 1),
            wait=wait_exponential(patience.wait_s_first, patience.wait_s_max),
            sleep=sleep,
        )
        self._blank = np.zeros((self._rows, len(package.inputs)), np.float32)
        try:
            blank = self._padded(self._blank)
        except Exception as error:
            raise ArtefactError(
                f"{package.name} {package.version}: the model fails on a batch of {self._rows} blank rows: "
                f"{error_text(error)}; a missing or zero value must not be an error"
            ) from error
        self.outputs = blank.shape[1]
        self._blank_is_usable = not unusable(package, blank, ())

    def __call__(self, matrix: np.ndarray, on_rows: Callable[[int], None] = lambda done: None) -> Scores:
        """Score rows: float32 [rows, features], any number of them.

        Parameters
        ----------
        on_rows
            Told after each batch how many rows have been scored.

        Raises
        ------
        ModelBroken
            A blank batch, which passed before, fails after rows have failed; or no row of a batch has a usable score,
            nor have blank rows, which had one before.
        """
        values = np.full((len(matrix), self.outputs), np.nan, np.float32)
        failures: dict[int, Failure] = {}
        for first in range(0, len(matrix), self._rows):
            batch = matrix[first : first + self._rows]
            try:
                values[first : first + len(batch)] = self._tried(batch)
            except RetryError:
                self._halve(batch, first, values, failures)
            self._probe(first, values[first : first + len(batch)], failures)
            on_rows(first + len(batch))
        return Scores(values, failures)

    def _tried(self, batch: np.ndarray) -> np.ndarray:
        try:
            return self._padded(batch)
        except Exception:
            return self._patiently(self._padded, batch)  # costs .1 ms, so not for the batches that pass

    def _halve(self, batch: np.ndarray, first: int, values: np.ndarray, failures: dict[int, Failure]) -> None:
        """Find the rows at fault among rows that fail together."""
        for start, stop in ((0, len(batch) // 2), (len(batch) // 2, len(batch))):
            half = batch[start:stop]
            if not len(half):
                continue
            try:
                values[first + start : first + stop] = self._padded(half)
            except Exception as error:
                if len(half) == 1:
                    failures[first + start] = Failure(error_text(error), self._attempts)
                else:
                    self._halve(half, first + start, values, failures)

    def _probe(self, first: int, values: np.ndarray, failures: dict[int, Failure]) -> None:
        """Note the rows of a batch without a usable score, and see by blank rows whether it is the model's fault."""
        raised = [row for row in range(first, first + len(values)) if row in failures]
        nonsense = unusable(self.package, values, [row - first for row in raised])
        failures |= {first + row: failure for row, failure in nonsense.items()}
        suspect = self._blank_is_usable and bool(nonsense) and len(raised) + len(nonsense) == len(values)
        if not raised and not suspect:
            return
        name = f"{self.package.name} {self.package.version}"
        why = failures[raised[0] if raised else first].why
        try:
            blank = self._padded(self._blank)
        except Exception as error:
            raise ModelBroken(f"{name} fails, and now on blank rows too: {why}") from error
        if suspect and unusable(self.package, blank, ()):
            raise ModelBroken(f"{name} gives nonsense for every row, and now for blank rows too: {why}")

    def _padded(self, rows: np.ndarray) -> np.ndarray:
        batch = self._blank.copy()
        batch[: len(rows)] = rows
        return self._pass(batch)[: len(rows)]

    def _pass(self, batch: np.ndarray) -> np.ndarray:
        with contained():
            out = self._model.predict(batch)
        out = out[:, None] if out.ndim == 1 else out
        columns = outputs_of(self.package)
        if out.ndim != 2 or len(out) != len(batch) or out.shape[1] not in columns:
            wanted = " or ".join(str(n) for n in columns)
            raise ValueError(f"the model gave an array of {out.shape}, wanted [{len(batch)}, {wanted}]")
        return out


def outputs_of(package: ModelPackage) -> tuple[int, ...]:
    """How many outputs a model of this package may have."""
    return {"binary": (1, 2), "multiclass": (len(package.outputs.classes),), "regression": (1,)}[package.task]


def unusable(package: ModelPackage, values: np.ndarray, failures: Collection[int]) -> dict[int, Failure]:
    """Rows whose scores are no numbers, or no probabilities where they should be; those that failed are left out."""
    wrong = ~np.isfinite(values).all(1)
    faults = {
        int(n): Failure(f"model gave {_first_bad(values[n])}") for n in np.flatnonzero(wrong) if n not in failures
    }
    if package.task != "regression":
        # Rounding leaves a softmax a hair above 1; a logit is further off.
        outside = ~wrong & ((values < -1e-5) | (values > 1 + 1e-5)).any(1)
        for n in np.flatnonzero(outside):
            worst = values[n][np.abs(values[n] - 0.5).argmax()]
            faults[int(n)] = Failure(
                f"model gave {worst:g}, a probability lies in 0..1; end it with a sigmoid or softmax"
            )
    return faults


def _first_bad(values: np.ndarray) -> str:
    bad = values[~np.isfinite(values)][0]
    return "NaN" if np.isnan(bad) else f"{bad:g}"
