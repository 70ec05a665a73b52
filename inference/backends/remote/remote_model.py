"""A model that runs elsewhere, as a backend: which address is asked, and what follows of a failure."""

import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inference.backends.backend import Shapes
from inference.backends.errors import ArtefactError, OutOfMemory, Unavailable, error_text
from inference.backends.remote.breaker import Breaker
from inference.backends.remote.failures import Away, InputRefused, WrongAnswer, shortened
from inference.backends.remote.headers import Headers
from inference.backends.remote.protocols import PROTOCOLS, Wire
from inference.backends.remote.reading import fit, read_remote
from inference.backends.remote.remote_toml import RemoteModel
from inference.backends.remote.retry_budget import RetryBudget
from inference.packages.model_toml import ModelPackage
from streams.clock import ticks_ms


class Remote:
    """A server, or several that are the same.

    Parameters
    ----------
    package
        The model.
    remote, wire
        Where it runs, and what speaks to it.
    ticks
        Monotonic time in ms, for deadlines and breakers.
    """

    def __init__(
        self, package: ModelPackage, remote: RemoteModel, wire: Wire, ticks: Callable[[], float] = ticks_ms
    ) -> None:
        self._remote, self._wire = remote, wire
        self.shapes = Shapes(package.limits.shapes)
        self._name = f"{package.name} {package.version}"
        self._headers, self._ticks = Headers(remote.headers), ticks
        self._breakers = [Breaker() for _ in remote.addresses]
        self._budget = RetryBudget()
        self._lock, self._next = threading.Lock(), 0

    @classmethod
    def from_file(cls, package: ModelPackage, file: Path, ticks: Callable[[], float] = ticks_ms) -> "Remote":
        """Make it of a `remote.toml`.

        Parameters
        ----------
        package, file
            The package and its `remote.toml`.
        ticks
            Monotonic time in ms.

        Raises
        ------
        ArtefactError
            What the file says cannot be.
        """
        remote = read_remote(file)
        fit(remote, package, file)
        try:
            return cls(package, remote, PROTOCOLS[remote.protocol](remote, package), ticks)
        except ArtefactError as error:
            raise ArtefactError(f"{file}: {error}") from error
        except ImportError as error:
            raise ArtefactError(f"{file}: {error.name} is not installed; pip install 'driftline[remote]'") from error

    def score(self, matrix: np.ndarray) -> np.ndarray:
        """Ask for the scores of one batch; see `Backend`.

        Raises
        ------
        Unavailable
            No address answers: at once where all breakers are open.
        InputRefused
            The server refuses what stands in the batch.
        """
        request = self._wire.request(matrix)
        ends_ms = self._ticks() + self._remote.deadline_ms
        tried: list[int] = []
        self._budget.earn()
        while True:
            address = self._choose(tried)
            tried.append(address)
            try:
                return self._ask(address, request, len(matrix), ends_ms)
            except Away as error:
                if not self._may_repeat(error, tried, ends_ms):
                    raise Unavailable(f"{self._at(address)} {error}") from error

    def health(self) -> str:
        """Why it cannot score now, or an empty text; known from the last calls, and nobody is asked."""
        now_ms = self._ticks()
        if any(breaker.state(now_ms) != "open" for breaker in self._breakers):
            return ""
        return self._all_open()

    def _ask(self, address: int, request: object, rows: int, ends_ms: float) -> np.ndarray:
        breaker, headers = self._breakers[address], dict[str, str]()
        try:
            headers = self._headers()
            left_s = max(ends_ms - self._ticks(), 1.0) / 1000
            scores = self._read(self._wire.call(address, request, headers, left_s), rows)
        except Away as error:
            why = self._without_secrets(error, headers)
            breaker.fail(self._ticks(), why)
            raise Away(why, late=error.late) from None
        except (InputRefused, OutOfMemory) as error:
            breaker.succeed()  # who refuses is there
            raise type(error)(f"{self._at(address)} {self._without_secrets(error, headers)}") from None
        breaker.succeed()
        return scores

    def _without_secrets(self, error: Exception, sent: Mapping[str, str]) -> str:
        return shortened(self._headers.hide(str(error), sent))

    def _read(self, answer: Any, rows: int) -> np.ndarray:
        try:
            return self._wire.scores(answer, rows)
        except Away:
            raise
        except Exception as error:  # a stranger's answer; whatever it does to the reading, no row is at fault
            raise WrongAnswer(f"answers with what cannot be read: {error_text(error)}") from error

    def _choose(self, tried: Collection[int]) -> int:
        """The next address that takes calls, in turn; one that has failed this batch only where there is no other."""
        with self._lock:
            first, self._next = self._next, self._next + 1
        count, now_ms = len(self._breakers), self._ticks()
        order = [(first + n) % count for n in range(count)]
        for address in sorted(order, key=lambda address: address in tried):
            if self._breakers[address].admit(now_ms, 2 * self._remote.deadline_ms):
                return address
        raise Unavailable(self._all_open())

    def _may_repeat(self, error: Away, tried: Collection[int], ends_ms: float) -> bool:
        """Whether a call that failed is made again now: once, where there is time, and the budget has one left.

        It is safe as far as anything is: scoring changes nothing at the server, and the rows come again in any case.
        """
        return not error.late and len(tried) <= 1 and self._ticks() < ends_ms and self._budget.spend()

    def _at(self, address: int) -> str:
        return f"{self._name}: {self._remote.addresses[address]}"

    def _all_open(self) -> str:
        whys = [
            f"{address} {breaker.why}" for address, breaker in zip(self._remote.addresses, self._breakers, strict=True)
        ]
        return f"{self._name} waits for {'; '.join(whys)}"
