"""Rows meet the model: always in batches of a declared shape, so that a row's score does not depend on its company.

What fails is dealt with by its kind (`inference.backends.errors`). Where rows may be at fault the batch is tried again,
then halved until those at fault stand alone; the others get their scores. A row is at fault only if it fails alone
while the blank batch, which passed when the model was loaded, passes again. Else it is the model that is broken: nobody
is blamed, and whoever called tries again later. A device without memory for a batch gets smaller ones.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

from inference.backends.backend import Backend, Submit
from inference.backends.errors import ArtefactError, Fatal, OutOfMemory, Unavailable, contained, error_text
from inference.packages.model_toml import ModelPackage, PackageError
from streams.clock import ticks_ms

if TYPE_CHECKING:
    from inference.backends.remote.fallback import Fallback

#: After a batch was too large for the device's memory, so many smaller ones pass before its size is tried again.
_SMALLER_BATCHES = 100
#: No row's fault.
_BLAMELESS = (Unavailable, Fatal)


#: Positions of a batch's rows, its shape, and what waits for its scores where the backend has it already.
_Batch = tuple[np.ndarray, int, Callable[[], np.ndarray] | None]


class _GivenUp(Exception):
    """A batch fails as often as it is tried."""


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
    buckets
        int32 [rows], rows of the batch that each row was scored in.
    """

    values: np.ndarray
    failures: dict[int, Failure]
    buckets: np.ndarray

    @property
    def padding(self) -> int:
        """Rows that were computed for nobody, to fill batches up.

        >>> Scores(np.zeros((3, 1)), {}, np.array([16, 16, 64])).padding
        77
        """
        shapes, rows = np.unique(self.buckets, return_counts=True)
        return int((-rows % shapes).sum())

    def __getitem__(self, rows: slice) -> "Scores":
        first, stop, _ = rows.indices(len(self.values))
        failures = {n - first: failure for n, failure in self.failures.items() if first <= n < stop}
        return Scores(self.values[rows], failures, self.buckets[rows])


class Scorer:
    """A loaded model behind its batch shapes.

    Parameters
    ----------
    package
        What the model is.
    backend
        What computes.
    patience
        How often a failing batch is tried.
    sleep
        Waits between two tries; tests hand in one that does not.
    ticks
        Monotonic time, ms.
    fallback
        Who answers while it is away; None where its rows wait.
    prove
        Raises where the loaded model is not what its package says.
    may_be_away
        Whether it is made although nothing answers now: then it is tried out with the first rows that it is given.

    Attributes
    ----------
    call_began_ms
        Since when the backend has had a batch; None while it has none. Read from other threads.
    untried
        Why it could not be tried out; None once it has been.
    """

    def __init__(
        self,
        package: ModelPackage,
        backend: Backend,
        patience: Patience | None = None,
        sleep: Callable[[float], None] = time.sleep,
        ticks: Callable[[], float] = ticks_ms,
        fallback: "Fallback | None" = None,
        prove: Callable[["Scorer"], None] = lambda scorer: None,
        may_be_away: bool = False,
    ) -> None:
        self.package = package
        self.fallback = fallback
        self._prove = prove
        self.call_began_ms: float | None = None
        self._one_at_a_time = threading.Lock()  # a shadow that is promoted has two callers for a while
        self._ticks = ticks
        self.backend = backend
        self._shapes = backend.shapes
        self._fits, self._smaller_batches = self._shapes.rows_max, 0
        self._submit: Submit | None = getattr(backend, "submit", None)
        self._patience, self._sleep = patience or Patience(), sleep
        self._blank = np.zeros((self._shapes.rows_max, len(package.inputs)), np.float32)
        self.untried: Unavailable | None = None
        try:
            self._try_out()
        except Unavailable:
            if not may_be_away:
                raise

    def _try_out(self) -> None:
        """See that it scores blank rows, and is what its package says."""
        self.untried = None
        try:
            blank = self._first()
            self.outputs = blank.shape[1]
            self._blank_is_usable = not unusable(self.package, blank, ())
            self._prove(self)
        except Unavailable as error:
            self.untried = error
            raise

    def _try_out_late(self) -> None:
        """The same once rows are there. What answers now and is another model is waited for, as later in a call."""
        try:
            self._try_out()
        except (ArtefactError, PackageError) as error:
            self.untried = Unavailable(str(error))
            raise self.untried from error

    def _first(self) -> np.ndarray:
        """Score blank rows at every shape, the smallest first; returns the scores at the largest that fits."""
        bucket, blank = 0, None
        try:
            for bucket in self._shapes.buckets:
                blank = self._scores_of(self._blank[:bucket], bucket)
                self._fits = bucket
        except _BLAMELESS:
            raise
        except Exception as error:
            if isinstance(error, OutOfMemory) and blank is not None:
                return blank
            raise ArtefactError(
                f"{self.package.name} {self.package.version}: the model fails on a batch of {bucket} blank rows: "
                f"{error_text(error)}; a missing or zero value must not be an error"
            ) from error
        assert blank is not None, self._shapes
        return blank

    def __call__(
        self,
        matrix: np.ndarray,
        on_rows: Callable[[int], None] = lambda done: None,
        buckets: np.ndarray | None = None,
    ) -> Scores:
        """Score rows: float32 [rows, features], any number of them.

        Parameters
        ----------
        on_rows
            Called after each batch with how many rows have been scored.
        buckets
            int32 [rows], at which shape each row is to be scored: a score that was recorded with its shape is made
            again bit for bit. Where a shape is none of the model's it is chosen anew.

        Raises
        ------
        ModelBroken
            A blank batch, which passed before, fails after rows have failed; or no row of a batch has a usable score,
            nor have blank rows, which had one before.
        Unavailable, Fatal
            See `inference.backends.errors`.
        """
        if self.untried is not None:
            self._try_out_late()
        scores = Scores(np.full((len(matrix), self.outputs), np.nan, np.float32), {}, np.zeros(len(matrix), np.int32))
        done = 0
        for rows, bucket, wait in self._submitted(matrix, buckets):
            self._fill(matrix, rows, bucket, scores, wait)
            self._probe(rows, bucket, scores)
            on_rows(done := done + len(rows))
        return scores

    def _submitted(self, matrix: np.ndarray, buckets: np.ndarray | None) -> Iterator[_Batch]:
        """Batches, and what waits for their scores where the backend has them already: one is handed to it before the
        one before it is waited for.
        """
        before: _Batch | None = None
        for rows, bucket in self._batches(len(matrix), buckets):
            batch = rows, bucket, self._ahead(matrix[rows], bucket)
            if before is not None:
                yield before
            before = batch
            if batch[2] is None:
                yield batch
                before = None
        if before is not None:
            yield before

    def _ahead(self, rows: np.ndarray, bucket: int) -> Callable[[], np.ndarray] | None:
        """Hand a batch to a backend that takes it before its time; None where it does not."""
        if self._submit is None:
            return None
        try:
            with self._calling():
                return self._submit(_padded(rows, bucket))
        except Exception:  # it comes again in order, and is dealt with then
            return None

    def _batches(self, rows: int, buckets: np.ndarray | None) -> Iterator[tuple[np.ndarray, int]]:
        """Positions of the rows of each batch, and its shape."""
        free = np.arange(rows)
        if buckets is not None:
            free = np.flatnonzero(~np.isin(buckets, self._shapes.buckets))
            for bucket in self._shapes.buckets:
                recorded = np.flatnonzero(buckets == bucket)
                for first in range(0, len(recorded), bucket):
                    yield recorded[first : first + bucket], bucket
        first = 0
        while first < len(free):  # what fits may change on the way
            batch = free[first : first + self._fits]
            yield batch, self._shapes.bucket(len(batch))
            first += len(batch)

    def _fill(
        self,
        matrix: np.ndarray,
        rows: np.ndarray,
        bucket: int,
        scores: Scores,
        wait: Callable[[], np.ndarray] | None = None,
    ) -> None:
        """Score the rows of one batch, in smaller ones where the device has no memory for it."""
        batch = matrix[rows]
        scores.buckets[rows] = bucket
        try:
            scores.values[rows] = self._tried(batch, bucket, wait)
        except OutOfMemory as error:
            from inference.serving.facts import NoMemoryForBatch

            NoMemoryForBatch(self.package.name, self.package.version, bucket, str(error)).tell()
            smaller = self._shapes.below(bucket)
            if smaller is None:
                self._halve(batch, rows, bucket, scores)  # the device's fault, or a row's: the blank batch tells
                return
            self._fits, self._smaller_batches = smaller, 0
            for first in range(0, len(rows), smaller):
                self._fill(matrix, rows[first : first + smaller], smaller, scores)
        except _GivenUp:
            self._halve(batch, rows, bucket, scores)
        else:
            self._grow()

    def _grow(self) -> None:
        """Try a larger shape again once enough smaller batches have passed."""
        if self._fits == self._shapes.rows_max:
            return
        self._smaller_batches += 1
        if self._smaller_batches >= _SMALLER_BATCHES:
            self._fits, self._smaller_batches = self._shapes.bucket(self._fits + 1), 0

    def _tried(self, batch: np.ndarray, bucket: int, wait: Callable[[], np.ndarray] | None) -> np.ndarray:
        try:
            return self._scores_of(batch, bucket) if wait is None else self._pass(wait, bucket)[: len(batch)]
        except (*_BLAMELESS, OutOfMemory):
            raise
        except Exception:
            return self._patiently(batch, bucket)

    def _patiently(self, batch: np.ndarray, bucket: int) -> np.ndarray:
        """Try a batch again that has failed.

        Raises
        ------
        _GivenUp
            It goes on to fail.
        """
        from tenacity import RetryError, Retrying, retry_if_not_exception_type, stop_after_attempt, wait_exponential

        again = Retrying(
            retry=retry_if_not_exception_type((*_BLAMELESS, OutOfMemory)),
            stop=stop_after_attempt(self._patience.attempts_max - 1),
            wait=wait_exponential(self._patience.wait_s_first, self._patience.wait_s_max),
            sleep=self._sleep,
        )
        try:
            return again(self._scores_of, batch, bucket)
        except RetryError as error:
            raise _GivenUp from error

    def _halve(self, batch: np.ndarray, rows: np.ndarray, bucket: int, scores: Scores) -> None:
        """Find the rows at fault among rows that fail together; the shape stays, and so do the others' scores."""
        for start, stop in ((0, len(batch) // 2), (len(batch) // 2, len(batch))):
            half = batch[start:stop]
            if not len(half):
                continue
            try:
                scores.values[rows[start:stop]] = self._scores_of(half, bucket)
            except _BLAMELESS:
                raise
            except Exception as error:
                if len(half) == 1:
                    scores.failures[int(rows[start])] = Failure(error_text(error), self._patience.attempts_max)
                else:
                    self._halve(half, rows[start:stop], bucket, scores)

    def _probe(self, rows: np.ndarray, bucket: int, scores: Scores) -> None:
        """Note the rows of a batch without a usable score, and see by blank rows whether it is the model's fault."""
        failures = scores.failures
        raised = [n for n, row in enumerate(rows.tolist()) if row in failures] if failures else []
        nonsense = unusable(self.package, scores.values[rows], raised)
        failures |= {int(rows[n]): failure for n, failure in nonsense.items()}
        suspect = self._blank_is_usable and bool(nonsense) and len(raised) + len(nonsense) == len(rows)
        if not raised and not suspect:
            return
        name = f"{self.package.name} {self.package.version}"
        why = failures[int(rows[raised[0] if raised else 0])].why
        try:
            blank = self._scores_of(self._blank[:bucket], bucket)
        except _BLAMELESS:
            raise
        except OutOfMemory as error:
            raise Unavailable(f"{name} waits for memory: {error}") from error
        except Exception as error:
            raise ModelBroken(f"{name} fails, and now on blank rows too: {why}") from error
        if suspect and unusable(self.package, blank, ()):
            raise ModelBroken(f"{name} gives nonsense for every row, and now for blank rows too: {why}")

    def _scores_of(self, rows: np.ndarray, bucket: int) -> np.ndarray:
        batch = _padded(rows, bucket)
        return self._pass(lambda: self.backend.score(batch), bucket)[: len(rows)]

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """Have the backend called, by one at a time, and seen by who looks for hangs."""
        with self._one_at_a_time:
            self.call_began_ms = self._ticks()
            try:
                with contained():
                    yield
            finally:
                self.call_began_ms = None

    def _pass(self, call: Callable[[], np.ndarray], bucket: int) -> np.ndarray:
        with self._calling():
            out = call()
        out = out[:, None] if out.ndim == 1 else out
        columns = outputs_of(self.package)
        if out.ndim != 2 or len(out) != bucket or out.shape[1] not in columns:
            wanted = " or ".join(str(n) for n in columns)
            raise ValueError(f"the model gave an array of {out.shape}, wanted [{bucket}, {wanted}]")
        return out


def _padded(rows: np.ndarray, bucket: int) -> np.ndarray:
    batch = np.zeros((bucket, rows.shape[1]), np.float32)  # always a new one: a model may write into it
    batch[: len(rows)] = rows
    return batch


def outputs_of(package: ModelPackage) -> tuple[int, ...]:
    """How many outputs a model of this package may have."""
    return {"binary": (1, 2), "multiclass": (len(package.outputs.classes),), "regression": (1,)}[package.task]


def unusable(package: ModelPackage, values: np.ndarray, failures: Collection[int]) -> dict[int, Failure]:
    """Rows whose scores are no numbers, or no probabilities where they should be; those that failed are left out.

    Parameters
    ----------
    values
        What the model gave, float [rows, outputs].
    failures
        Rows that failed already, counted from 0.
    """
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
