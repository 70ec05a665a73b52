"""The services that are simulated, with measured numbers, and what is asked of them."""

import msgspec

from benchmarks.controller.simulation import Service
from streams.runtime.batch_control import BatchTarget


class Case(msgspec.Struct, frozen=True):
    """A service and its target."""

    service: Service
    target: BatchTarget

    def fits(self, rows: int) -> bool:
        """Whether a record that has just missed a micro-batch of so many rows is in time with the next one."""
        return rows / self.service.rate(rows) + sum(self.service.ms(rows)) <= self.target.latency_ms_p99


#: By `python -m benchmarks.controller.measure`, on two cores that others kept busy (load 6); commits are those of the
#: second model, for which the broker was warm.
_ROWS = (16, 64, 256, 1_024, 4_096)
_COMMIT_MS = (16.9, 16.9, 18.9, 23.7, 35.7)
CASES = [
    Case(Service("small", _ROWS, (6.8, 7.4, 8.8, 14.9, 54.7), _COMMIT_MS), BatchTarget(200, 20, 512)),
    Case(Service("heavy", _ROWS, (10.9, 19.3, 102.6, 206.6, 539.0), _COMMIT_MS), BatchTarget(500, 20, 512)),
]
