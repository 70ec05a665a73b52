"""A watched model: its route, how far its sources have come, and its lanes."""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial

import msgspec
import numpy as np

from drift.counting.calendar import calendar_of
from drift.counting.minutes import unpack
from drift.incidents import Incident
from drift.incidents.acts import Heeds, acted, sentence
from drift.incidents.retraining import order
from drift.incidents.severity import heeded
from drift.incidents.spelling import listed
from drift.judge.accepting import ActError, accept
from drift.judge.segment import Lane, Rule, much
from drift.performance.label_sums import LABELLED
from drift.reference.baseline import Baseline
from drift.windows.windows import Source, closes_at, judged_at, seen_asleep, shared_at, watermark
from streams.wire.records import Act, Alert, Idle, LabelSums, Order, PartialCounts, Report, RouteCopy, Watch

Told = Report | Alert | Order
#: Finds the baseline of a version.
Baselines = Callable[[str], Baseline]
_Do = Callable[[Baseline, Rule, Callable[[], int]], Sequence[Report | Alert]]
#: When it is due, whether it comes before or after others of that time, the version and segment, what there is to do.
_Step = tuple[int, int, tuple[str, str], _Do]


class Watched(msgspec.Struct, kw_only=True, eq=False):
    """All that the judge remembers of one model.

    Parameters
    ----------
    watch, epoch, champion, canary, routed
        What the model's latest route says, ``routed`` all versions that it names; before one comes, the defaults, and
        every version counts as serving.
    sources
        Its source topics.
    reached
        The watermark of each version: it never falls, though an idle partition may come back from far behind.
    incidents
        Incidents so far.
    ordered_ms
        Event time of the latest retraining order.
    lanes
        By version and segment.
    heeds
        What people said of open incidents.
    suspended
        Versions whose references cannot be used: their lanes are kept, and nothing is judged.
    """

    model: str
    watch: Watch = Watch()
    epoch: int = 0
    champion: str | None = None
    canary: dict[str, float] = {}
    routed: set[str] = set()
    sources: dict[str, Source] = {}
    reached: dict[str, int] = {}
    incidents: int = 0
    ordered_ms: int | None = None
    lanes: dict[tuple[str, str], Lane] = {}
    heeds: Heeds = msgspec.field(default_factory=Heeds)
    suspended: set[str] = set()

    def take_counts(self, message: PartialCounts, baselines: Baselines, say: Callable[[int], str]) -> list[Told]:
        """Add a block's counts; its watermark may close windows."""
        told: list[Told] = []
        for minute in message.minutes:
            lane = self._lane(message.version, minute.segment, baselines)
            window = lane.windows.add_rows(minute.minute_ms, unpack(minute), minute.late, minute.ids)
            told += lane.restate(baselines(message.version), self.watch, much(window))
        self._lane(message.version, "", baselines).refused.add(message.minutes, message.refused)
        self._source(message.topic, message.partitions).hear(
            message.version, message.partition, message.partitions, message.watermark_ms
        )
        return told + self._tell_behind(message, say) + self._advance(baselines, say)

    def _tell_behind(self, message: PartialCounts, say: Callable[[int], str]) -> list[Told]:
        """Tell at once of rows that lie far behind: no window may close any more that would."""
        lane, leaps, rows = self.lanes[message.version, ""], message.leaps or [], message.behind or 0
        if not lane.behind.observe(leaps, rows) or message.watermark_ms is None:
            return []
        rule = self._rule(message.version, "", say, last=False)
        return [*map(self._as_heeded, lane.tell_behind(rule, message.watermark_ms, self._next_incident))]

    def take_labels(self, message: LabelSums, baselines: Baselines, say: Callable[[int], str]) -> list[Told]:
        """Add labels; they restate reports, and are no evidence until event time goes on, or stands still."""
        lane = self._lane(message.version, message.segment, baselines)
        if message.faults:
            lane.windows.add_label_faults(message.minute_ms, message.faults)
        cells = np.frombuffer(message.cells, "<i8").astype(np.int64).reshape(-1, 4)
        if not cells.any():
            return []
        reached, labels = self.reached.get(message.version), int(cells[:, LABELLED].sum())
        if reached is not None and labels > 0:  # A correction tells nothing of delays.
            delay = reached - calendar_of(self.watch).span(message.minute_ms)[1]
            lane.windows.delays.add(delay, labels, self.watch)
        window = lane.windows.add_labels(message.minute_ms, cells)
        told: list[Told] = [*lane.restate(baselines(message.version), self.watch, much(window, self._asleep))]
        return told + (self._measure_asleep(message.version, baselines, say) if self._asleep else [])

    def _measure_asleep(self, version: str, baselines: Baselines, say: Callable[[int], str]) -> list[Told]:
        """Judge the performance of windows by the labels that they have, for event time brings no more of them."""
        lane, reached = self.lanes.get((version, "")), self.reached.get(version)
        clock_ms = seen_asleep(self.sources.values())
        told: list[Told] = []
        if lane is None or reached is None or clock_ms is None:
            return told
        rule = self._rule(version, "", say, last=True)
        while (window := lane.windows.unmeasured(self.watch, reached, clock_ms)) is not None:
            for alert in lane.measure(window, baselines(version), rule, self._next_incident):
                told += self._leaving(self._as_heeded(alert))
        return told

    def take_idle(self, message: Idle, baselines: Baselines, say: Callable[[int], str]) -> list[Told]:
        """A partition holds the watermark back no more."""
        self._source(message.topic, message.partitions).fall_silent(
            message.partition, message.partitions, message.asleep, message.repeated, message.at_ms
        )
        told = self._advance(baselines, say)
        if self._asleep:
            for (version, segment), lane in self._judged():
                silent = lane.silence(self._rule(version, segment, say, last=True), self._next_incident)
                told += map(self._as_heeded, silent)
                told += [] if segment else self._measure_asleep(version, baselines, say)
        return told + self._restate_all(baselines)

    def take_route(self, message: RouteCopy) -> list[Told]:
        """Follow a new route. Incidents of a version that serves no more are over."""
        route = message.route
        if route.epoch <= self.epoch:
            return []
        told: list[Told] = []
        for (version, _), lane in sorted(self.lanes.items()):
            if version != route.champion:
                ended = f"ended: {self.model} is now served by {route.champion}, and no longer by {version}"
                told += map(self._as_heeded, lane.retire(route.ts, ended))
        if (route.champion, route.canary) != (self.champion, self.canary):
            for lane in self.lanes.values():  # Another share of the rows is another volume.
                why = "the route has changed, so what is usual is learnt again"
                told += map(self._as_heeded, lane.flow.restart(route.ts, why))
        self.watch, self.epoch, self.champion, self.canary = route.watch, route.epoch, route.champion, route.canary
        self.routed = {route.champion, *route.canary, *route.shadows}
        return told

    def take_act(self, act: Act, baselines: Baselines, say: Callable[[int], str]) -> list[Told]:
        """Follow what a person decided about an open incident.

        Raises
        ------
        ActError
            No open incident of the model is called so, or it cannot be accepted as it is.
        """
        holders = ((version, lane, lane.standing()) for (version, _), lane in sorted(self.lanes.items()))
        found = next(((v, lane, held[act.incident]) for v, lane, held in holders if act.incident in held), None)
        if found is None:
            raise ActError(f"{act.incident} is no open incident of {self.model}: it is closed, or never was")
        if act.act == "mute" and act.until_ms is None:
            raise ActError(f"{act.incident} cannot be muted for ever; say until when")
        version, lane, (holder, name) = found
        last, text = getattr(holder, name), sentence(act, say)
        if act.act == "rebaseline":
            if version in self.suspended:
                raise ActError(f"the reference of {version} cannot be used; put it back first")
            rows, names = accept(lane, lane.measured(baselines(version)), act.incident, f"{act.incident}/{act.at_ms}")
            reference = lane.measured(baselines(version)).reference.id
            since = say(last.later[-1] if last.later else last.change_point)
            compared = f"{'is' if len(names) == 1 else 'are'} compared with the {rows:,} rows since {since}"
            text += f": from here on {listed(names)} {compared} (reference {reference[:8]})"
        alert = acted(last, act, text)
        if isinstance(holder, Incident):
            holder.told += 1
        setattr(holder, name, alert)
        self.heeds.take(act)
        if act.act == "rebaseline":
            self.heeds.of.pop(act.incident, None)
        return [alert]

    def finish(self, baselines: Baselines, say: Callable[[int], str]) -> list[Told]:
        """Close every window, as the last messages of a closed range."""
        return list(self._close(lambda _: None, baselines, say)) + self._restate_all(baselines)

    def furthest(self, version: str, topic: str, partition: int) -> int | None:
        """Event time that a version has reached in a source partition."""
        source = self.sources.get(topic)
        return None if source is None else source.times(version).get(partition)

    def _lane(self, version: str, segment: str, baselines: Baselines) -> Lane:
        if (version, segment) not in self.lanes:
            self.lanes[version, segment] = Lane.begin(baselines(version), segment)
        return self.lanes[version, segment]

    def _source(self, topic: str, partitions: int) -> Source:
        return self.sources.setdefault(topic, Source(partitions))

    def _advance(self, baselines: Baselines, say: Callable[[int], str]) -> list[Told]:
        moved = [version for version in dict.fromkeys(key[0] for key, _ in self._judged()) if self._reach(version)]
        if not moved:
            return []
        told = list(self._close(self.reached.get, baselines, say, moved))
        for (version, _), lane in sorted(self.lanes.items()):
            if version in moved:
                told += lane.restate(
                    baselines(version), self.watch, lane.windows.due(self.watch, self.reached[version])
                )
                serves = not self.routed or version in self.routed
                lane.windows.forget(self.watch, self.reached[version], awaits=serves)
        self.lanes = {key: lane for key, lane in self.lanes.items() if key[0] in self.routed or not self._over(lane)}
        return told

    def _over(self, lane: Lane) -> bool:
        """Whether nothing is left to say of a version that the route names no more; should it serve again, it begins
        anew.
        """
        return bool(self.routed) and lane.windows.empty

    def _reach(self, version: str) -> bool:
        """Whether a version's watermark has moved on.

        A version waits for its own rows: of one block they may come after another's. One that the route names no more
        may never speak again; it goes by whichever version has come furthest.
        """
        own = version if not self.routed or version in self.routed else None
        reached = watermark(self.sources.values(), self.watch, own)
        if reached is None or reached <= self.reached.get(version, reached - 1):
            return False
        self.reached[version] = reached
        return True

    def _close(
        self,
        reached: Callable[[str], int | None],
        baselines: Baselines,
        say: Callable[[int], str],
        versions: Collection[str] | None = None,
    ) -> Iterator[Told]:
        """Close what is ready of some versions, and judge what has its labels, in order of time over all lanes:
        incident numbers follow it.
        """
        several = [key for key, _ in self._judged() if versions is None or key[0] in versions]
        while True:
            ready = [step for key in several for step in self._steps(key, reached(key[0]))]
            if not ready:
                return
            _, _, (version, segment), do = min(ready, key=lambda found: found[:3])
            rule = self._rule(version, segment, say, last=self._asleep or reached(version) is None)
            several_told = do(baselines(version), rule, self._next_incident)
            for found in several_told:
                if isinstance(found, Alert):
                    yield from self._leaving(self._as_heeded(found))
                else:
                    yield found
            for report in several_told:
                if isinstance(report, Report) and not report.revision:
                    yield from self._unmute(self.lanes[version, segment], report.window_end, say)

    def _unmute(self, lane: Lane, end_ms: int, say: Callable[[int], str]) -> Iterator[Told]:
        """Tell once of what worsened while an incident was muted, when a window closes that the mute does not reach."""
        for incident, (holder, name) in sorted(lane.standing().items()):
            alert = self.heeds.unmuted(incident, getattr(holder, name), end_ms, say)
            if alert is not None:
                if isinstance(holder, Incident):
                    holder.told += 1
                setattr(holder, name, alert)
                yield from self._leaving(heeded(alert, self.watch))

    def _leaving(self, alert: Alert) -> Iterator[Told]:
        yield alert
        yield from self._order(alert)

    def _as_heeded(self, alert: Alert) -> Alert:
        """An alert as it leaves: as far as people want to hear of it, and as the settings say."""
        return heeded(self.heeds.applied(alert), self.watch)

    def _rule(self, version: str, segment: str, say: Callable[[int], str], last: bool) -> Rule:
        return Rule(
            model=self.model,
            version=version,
            segment=segment,
            epoch=self.epoch,
            watch=self.watch,
            opens=self.champion in (None, version),
            last=last,
            say=say,
        )

    @property
    def _asleep(self) -> bool:
        """Whether every source is: nobody knows when it will send more."""
        return all(source.sleeps for source in self.sources.values())

    def _steps(self, key: tuple[str, str], reached: int | None) -> Iterator[_Step]:
        """What a lane is ready for: to look at what was refused, to close a window, to judge one that is closed."""
        lane, windows = self.lanes[key], self.lanes[key].windows
        if not key[1] and (span := lane.refused.ready(self.watch, reached)) is not None:
            yield closes_at(self.watch, span), 0, key, partial(lane.refuse, span)
        over = bool(self.routed) and key[0] not in self.routed and windows.quiet(self.watch, reached)
        if (span := windows.ready(self.watch, reached, starved=self._asleep or over)) is not None:
            yield closes_at(self.watch, span), 1, key, partial(lane.close, span)
        if not key[1] and lane.behind.due(reached):
            assert lane.behind.closes_ms is not None
            yield lane.behind.closes_ms, 3, key, lane.close_behind
        if not key[1] and (window := windows.unshared(self.watch, reached)) is not None:
            yield shared_at(self.watch, window.span), 2, key, partial(lane.share, window)
        if not key[1] and (window := windows.unjudged(self.watch, reached)) is not None:
            yield judged_at(self.watch, window.span), 2, key, partial(lane.judge, window)
        if not key[1] and (window := windows.unmeasured(self.watch, reached)) is not None:
            yield windows.measured_at(self.watch, window.span), 3, key, partial(lane.measure, window)

    def _restate_all(self, baselines: Baselines) -> list[Told]:
        return [
            report
            for (version, _), lane in self._judged()
            for report in lane.restate(baselines(version), self.watch, lane.windows.closed)
        ]

    def _judged(self) -> list[tuple[tuple[str, str], Lane]]:
        """Lanes that are judged, in order of version and segment."""
        return sorted((key, lane) for key, lane in self.lanes.items() if key[0] not in self.suspended)

    def _next_incident(self) -> int:
        self.incidents += 1
        return self.incidents

    def _order(self, alert: Alert) -> Iterator[Order]:
        found = order(alert, self.ordered_ms)
        if found is not None:
            self.ordered_ms = found.ts
            yield found
