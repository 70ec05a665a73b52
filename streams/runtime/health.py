"""Health: what probes, the status page and people are told of one step."""

from collections.abc import Callable
from typing import Any

from streams.clock import now_ms
from streams.runtime.consumer import BatchConsumer
from streams.runtime.pipeline import Pipeline
from streams.runtime.set_aside import SetAside
from streams.runtime.telemetry import Gauges

#: `/readyz` names what was set aside for so long; the dead letters stay.
_SET_ASIDE_SHOWN_MS = 3_600_000


class Health:
    """How one step is, in words and figures.

    Parameters
    ----------
    gauges, consumer, pipeline
        Of the step.
    absent
        What some of the records wait for, in a sentence, while others are answered: the process is not ready.
    behind
        What is not as it should be while every record is answered, in a sentence.
    may_be_held
        Ready all the same while nothing may be read yet.
    set_aside
        What the step sets aside.
    figures
        What the step says of each of its parts, a dict a part; shown as ``versions``.
    """

    def __init__(
        self,
        gauges: Gauges,
        consumer: BatchConsumer,
        pipeline: Pipeline,
        *,
        absent: Callable[[], str] = str,
        behind: Callable[[], str] = str,
        may_be_held: bool = False,
        set_aside: SetAside | None = None,
        figures: Callable[[], list[dict[str, Any]]] = list,
    ) -> None:
        self._gauges = gauges
        self._consumer = consumer
        self._pipeline = pipeline
        self._absent, self._behind = absent, behind
        self._may_be_held = may_be_held
        self._set_aside = set_aside
        self._figures = figures

    def trouble(self) -> str | None:
        """Why the step is not making progress, or None."""
        held = None if self._may_be_held else self.held()
        return held or self._consumer.awaited() or self._absent() or self._gauges.trouble

    def failing(self) -> str | None:
        """Why micro-batches fail though nothing that they need is away, or None: a restart may help."""
        away = self._pipeline.away or self.held() or self._consumer.awaited() or self._absent()
        return None if away else self._gauges.trouble

    def held(self) -> str | None:
        """What is waited for before anything is read, or None."""
        return self._consumer.held()

    def waits(self) -> str:
        """What is waited for while the rest goes on; empty where there is nothing."""
        return "; ".join(filter(None, [self.held(), self._consumer.awaited(), self._consumer.waits(), self._behind()]))

    def status(self) -> dict[str, Any]:
        """What the status page shows of the step."""
        return {
            **self._gauges.status(now_ms(), self._consumer.epoch, self._consumer.lag_rows),
            "partitions": self._consumer.partitions(),
            "trouble": self._absent() or self._gauges.trouble,
            "waits": self.waits(),
            "notes": self._consumer.notes() + self._notes(),
            "versions": self._figures(),
        }

    def set_aside(self) -> list[str]:
        """What was set aside of late while everything else went on, for people."""
        return [note for at_ms, note in self._notes() if at_ms > now_ms() - _SET_ASIDE_SHOWN_MS]

    def _notes(self) -> list[tuple[int, str]]:
        return self._set_aside.notes() if self._set_aside else []
