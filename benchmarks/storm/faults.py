"""The faults of a storm: which process is killed or stopped, when, drawn from a seed."""

import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from benchmarks.storm.deployment import Deployment

ROLES = ("worker-0", "worker-1", "monitor", "store", "page", "broker", "kafka")
_STOPPED_S = (0.5, 8.0)
_PAUSE_S = (0.5, 4.0)


class Storm:
    """One fault after the other until the time is over.

    Parameters
    ----------
    deployment
        What is hit.
    seed
        The same seed draws the same faults in the same order; how many fit depends on the machine.
    on_fault
        Called with a line for each fault.
    """

    def __init__(self, deployment: Deployment, seed: int, on_fault: Callable[[str], None]) -> None:
        self.done: list[str] = []
        self._deployment, self._rng, self._on_fault = deployment, random.Random(seed), on_fault
        self._wakes: dict[psutil.Process, float] = {}
        self._began = time.monotonic()

    def run(self, seconds: float) -> None:
        """Storm for so long; afterwards every stopped process is woken."""
        end, next_at = self._began + seconds, 0.0
        try:
            while (now := time.monotonic()) < end:
                self._deployment.look()
                self._wake(now)
                if now >= next_at:
                    self._strike()
                    next_at = now + self._rng.uniform(*_PAUSE_S)
                time.sleep(0.05)
        finally:
            self._wake(float("inf"))

    def _strike(self) -> None:
        draw = self._rng.random()
        name, stopped_s = self._rng.choice(ROLES), self._rng.uniform(*_STOPPED_S)
        if draw < 0.04:
            self._signal("up", self._deployment.up(), signal.SIGTERM)
        elif draw < 0.08:
            self._signal("up", self._deployment.up(), signal.SIGKILL)
        elif draw < 0.12:
            for each, process in self._deployment.roles().items():
                self._signal(each, process, signal.SIGKILL)
        elif draw < 0.6:
            self._signal(name, self._deployment.roles().get(name), signal.SIGKILL)
        else:
            self._stop(name, self._deployment.roles().get(name), stopped_s)

    def _signal(self, name: str, process: psutil.Process | None, number: signal.Signals) -> None:
        if process is None:  # it is only starting again
            return
        with suppress(psutil.NoSuchProcess, FileNotFoundError):
            process.send_signal(number)
            self._wakes.pop(process, None)
            self._note(f"{number.name} {name}")

    def _stop(self, name: str, process: psutil.Process | None, seconds: float) -> None:
        if process is None or process in self._wakes:
            return
        with suppress(psutil.NoSuchProcess, FileNotFoundError):
            process.suspend()
            self._wakes[process] = time.monotonic() + seconds
            self._note(f"SIGSTOP {name} for {seconds:.1f} s")

    def _wake(self, now: float) -> None:
        for process, at in list(self._wakes.items()):
            if now >= at:
                del self._wakes[process]
                with suppress(psutil.NoSuchProcess, FileNotFoundError):
                    process.resume()

    def _note(self, what: str) -> None:
        self.done.append(what)
        self._on_fault(f"{time.monotonic() - self._began:5.1f} s  {what}")
