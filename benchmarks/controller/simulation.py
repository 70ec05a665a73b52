"""A worker as a simulation of events: when it reads, processes and commits, by the rules of `streams.runtime.handover`.

One micro-batch is processed while one commits; the next is read just in time. The numbers of a service are measured
(`benchmarks.controller.measure`); single times scatter around them, and some commits stumble.
"""

from collections import deque
from typing import Protocol

import msgspec
import numpy as np

from streams.runtime.batch_control import BatchChoice, BatchControl, Committed

#: As `HandOver` and `Positions` have it.
_OVERLAP_FROM, _LAG_EVERY_MS = 0.6, 1_000.0
_SCATTER, _STUMBLES, _STUMBLE = 0.15, 0.005, 3.0
_AGES_MAX = 100
_DRAWS = 1_000


class Service(msgspec.Struct, frozen=True):
    """What micro-batches take: at ``rows`` of a micro-batch so many ms; in between along lines.

    Parameters
    ----------
    name
        Of the model.
    rows, process_ms, commit_ms
        Measured, ascending.
    shape_rows
        The model's largest batch.
    """

    name: str
    rows: tuple[int, ...]
    process_ms: tuple[float, ...]
    commit_ms: tuple[float, ...]
    shape_rows: int = 512

    def ms(self, rows: int) -> tuple[float, float]:
        """What so many rows take to be processed and committed; beyond what was measured in proportion."""
        beyond = max(1.0, rows / self.rows[-1])
        return (
            beyond * float(np.interp(rows, self.rows, self.process_ms)),
            beyond * float(np.interp(rows, self.rows, self.commit_ms)),
        )

    def rate(self, rows: int) -> float:
        """Rows a ms where there are always so many to read."""
        process_ms, commit_ms = self.ms(rows)
        return rows / (max(process_ms, commit_ms) if process_ms > _OVERLAP_FROM * commit_ms else process_ms + commit_ms)


class Policy(Protocol):
    """Chooses how the next micro-batch is read."""

    choice: BatchChoice

    def observe(self, committed: Committed) -> object:
        """Learn from a micro-batch that was committed."""
        ...


class Fixed:
    """The same choice for ever: so many rows, and a wait for as many."""

    def __init__(self, rows_max: int, wait_ms: float) -> None:
        self.choice = BatchChoice(rows_max, wait_ms, rows_max if wait_ms else 0)

    def observe(self, committed: Committed) -> None:
        """Learn nothing."""


class Run(msgspec.Struct, frozen=True):
    """What a policy has led to: figures over the records that came after the warm-up, and how they were batched."""

    p99_ms: float
    rows_per_s: float
    rows_a_batch: float
    busy_ms_a_row: float
    tuned_share: float


def simulate(service: Service, arrivals_ms: np.ndarray, policy: Policy, seed: int, warm_ms: float) -> Run:
    """Answer all arrivals.

    Parameters
    ----------
    service
        What micro-batches take.
    arrivals_ms
        When records come, ascending.
    policy
        Chooses rows and wait.
    seed
        Of the scatter.
    warm_ms
        Records that come before are left out of the figures.
    """
    draws = np.random.default_rng(seed)
    scatter = draws.lognormal(0.0, _SCATTER, (_DRAWS, 2))
    scatter[draws.random(_DRAWS) < _STUMBLES, 1] *= _STUMBLE
    ends, pending = np.empty(len(arrivals_ms)), deque[Committed]()
    at, batches, busy_ms, tuned = 0, 0, 0.0, 0
    process_ms = commit_ms = commit_began = commit_end = lag_at = 0.0
    waiting = 0
    while at < len(arrivals_ms):
        overlaps = process_ms > _OVERLAP_FROM * commit_ms
        ready = commit_began + max(0.0, commit_ms - process_ms) if overlaps else commit_end
        first = max(ready, arrivals_ms[at])
        while pending and pending[0].at_ms <= first:
            policy.observe(pending.popleft())
        stop, read = _read(arrivals_ms, at, first, policy.choice)
        expected = service.ms(stop - at)
        process_ms, commit_ms = (
            float(ms * factor) for ms, factor in zip(expected, scatter[batches % _DRAWS], strict=True)
        )
        commit_began = max(read + process_ms, commit_end)
        commit_end = commit_began + commit_ms
        ends[at:stop] = commit_end
        if read - lag_at >= _LAG_EVERY_MS:
            lag_at, waiting = read, int(np.searchsorted(arrivals_ms, read, "right")) - stop
        ages = commit_end - arrivals_ms[at : stop : (stop - at) // _AGES_MAX + 1]
        pending.append(Committed(commit_end, stop - at, ages, process_ms, commit_ms, waiting))
        at, batches, busy_ms = stop, batches + 1, busy_ms + process_ms + commit_ms
        tuned += isinstance(policy, BatchControl) and policy.tuned
    counted = arrivals_ms >= warm_ms
    p99_ms = float(np.quantile(ends[counted] - arrivals_ms[counted], 0.99))
    took_s = float(ends[-1] - warm_ms) / 1000
    rows = len(arrivals_ms)
    return Run(p99_ms, float(counted.sum()) / took_s, rows / batches, busy_ms / rows, tuned / batches)


def _read(arrivals_ms: np.ndarray, at: int, first: float, choice: BatchChoice) -> tuple[int, float]:
    """Where a micro-batch ends that is begun at some time, and when it is handed over."""
    came = int(np.searchsorted(arrivals_ms, first, "right"))
    if choice.wait_ms and came - at < choice.rows_wanted:
        full = at + choice.rows_wanted - 1
        enough = float(arrivals_ms[full]) if full < len(arrivals_ms) else np.inf
        first = min(first + choice.wait_ms, max(first, enough))
        came = int(np.searchsorted(arrivals_ms, first, "right"))
    return min(came, at + choice.rows_max), first
