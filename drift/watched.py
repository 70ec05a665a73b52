"""A watched model: its route, how far its sources have come, and its lanes."""

from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from drift.lane import Lane, Rule, much
from drift.minutes import unpack
from drift.orders import order
from drift.windows import Source, Span, watermark
from drift.yardstick import Yardstick
from streams.records import Alert, Idle, LabelSums, Order, PartialCounts, Report, RouteCopy, Watch

Told = Report | Alert | Order
#: Finds the yardstick of a version.
Yards = Callable[[str], Yardstick]


class Watched(msgspec.Struct, kw_only=True, eq=False):
    """All that the judge remembers of one model.

    Parameters
    ----------
    watch, epoch, champion
        What the model's latest route says; before one comes, the defaults, and every version counts as serving.
    sources
        Its source topics.
    reached
        The watermark: it never falls, though an idle partition may come back from far behind.
    incidents
        Incidents so far.
    ordered_ms
        Event time of the latest retraining order.
    lanes
        By version and segment.
    """

    model: str
    watch: Watch = Watch()
    epoch: int = 0
    champion: str | None = None
    sources: dict[str, Source] = {}
    reached: int | None = None
    incidents: int = 0
    ordered_ms: int | None = None
    lanes: dict[tuple[str, str], Lane] = {}

    def take_counts(self, message: PartialCounts, yards: Yards, say: Callable[[int], str]) -> list[Told]:
        """Add a block's counts; its watermark may close windows."""
        told: list[Told] = []
        for minute in message.minutes:
            lane = self._lane(message.version, minute.segment, yards)
            window = lane.windows.add_rows(minute.minute_ms, unpack(minute), minute.late)
            told += lane.restate(yards(message.version), self.watch, much(window))
        self._source(message.topic, message.partitions).hear(
            message.partition, message.partitions, message.watermark_ms
        )
        return told + self._advance(yards, say)

    def take_labels(self, message: LabelSums, yards: Yards) -> list[Told]:
        """Add labels; they restate reports, and are no evidence."""
        lane = self._lane(message.version, message.segment, yards)
        cells = np.frombuffer(message.cells, "<i8").astype(np.int64).reshape(-1, 4)
        window = lane.windows.add_labels(message.minute_ms, cells)
        return list(lane.restate(yards(message.version), self.watch, much(window)))

    def take_idle(self, message: Idle, yards: Yards, say: Callable[[int], str]) -> list[Told]:
        """A partition holds the watermark back no more."""
        self._source(message.topic, message.partitions).fall_silent(
            message.partition, message.partitions, message.asleep
        )
        return self._advance(yards, say) + self._restate_all(yards)

    def take_route(self, message: RouteCopy) -> list[Told]:
        """Follow a new route. Incidents of a version that serves no more are over."""
        route = message.route
        if route.epoch <= self.epoch:
            return []
        told: list[Told] = []
        for (version, _), lane in sorted(self.lanes.items()):
            if version != route.champion:
                told += lane.incidents.close_all(
                    route.ts, f"{version} no more serves {self.model}: {route.champion} does"
                )
        self.watch, self.epoch, self.champion = route.watch, route.epoch, route.champion
        return told

    def finish(self, yards: Yards, say: Callable[[int], str]) -> list[Told]:
        """Close every window, as the last messages of a closed range."""
        return list(self._close(None, yards, say)) + self._restate_all(yards)

    def _lane(self, version: str, segment: str, yards: Yards) -> Lane:
        if (version, segment) not in self.lanes:
            self.lanes[version, segment] = Lane.begin(yards(version), segment)
        return self.lanes[version, segment]

    def _source(self, topic: str, partitions: int) -> Source:
        return self.sources.setdefault(topic, Source(partitions))

    def _advance(self, yards: Yards, say: Callable[[int], str]) -> list[Told]:
        reached = watermark(self.sources.values(), self.watch)
        if reached is None or (self.reached is not None and reached <= self.reached):
            return []
        self.reached = reached
        told = list(self._close(reached, yards, say))
        for (version, _), lane in sorted(self.lanes.items()):
            told += lane.restate(yards(version), self.watch, lane.windows.due(self.watch, reached))
            lane.windows.forget(self.watch, reached)
        return told

    def _close(self, reached: int | None, yards: Yards, say: Callable[[int], str]) -> Iterator[Told]:
        """Close what is ready, in order of time over all lanes: incident numbers follow it."""
        while True:
            ready = [(span, key) for key, lane in self.lanes.items() if (span := self._ready(lane, reached))]
            if not ready:
                return
            span, (version, segment) = min(ready, key=lambda found: (found[0].end, found[1]))
            lane, yard = self.lanes[version, segment], yards(version)
            rule = Rule(
                model=self.model,
                version=version,
                segment=segment,
                epoch=self.epoch,
                watch=self.watch,
                opens=self.champion in (None, version),
                say=say,
            )
            report, alerts = lane.close(yard, rule, span, self._next_incident)
            yield report
            for alert in alerts:
                yield alert
                yield from self._order(alert)

    def _ready(self, lane: Lane, reached: int | None) -> Span | None:
        return lane.windows.ready(self.watch, reached)

    def _restate_all(self, yards: Yards) -> list[Told]:
        return [
            report
            for (version, _), lane in sorted(self.lanes.items())
            for report in lane.restate(yards(version), self.watch, lane.windows.closed)
        ]

    def _next_incident(self) -> int:
        self.incidents += 1
        return self.incidents

    def _order(self, alert: Alert) -> Iterator[Order]:
        found = order(alert, self.ordered_ms)
        if found is not None:
            self.ordered_ms = found.ts
            yield found
