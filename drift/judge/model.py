"""A model's judge: messages of `counts` change what is remembered of the model; reports, alerts and orders come out."""

from collections.abc import Callable, Collection

import numpy as np

from drift.counting.calendar import calendar_of
from drift.counting.minutes import unpack
from drift.incidents.book import Book
from drift.incidents.closed_window import MonitorContext
from drift.judge import quality
from drift.judge.acts import follow_act
from drift.judge.monitor import Baselines
from drift.judge.output import Output, leaving, unmuted
from drift.judge.performance import measure
from drift.judge.schedule import next_step
from drift.judge.segment import SegmentMonitor, restates_now
from drift.judge.state import ModelState, SegmentState
from drift.performance.label_sums import LABELLED
from drift.windows.watermark import Source, seen_asleep, watermark
from drift.windows.window_record import WindowRecord
from streams.wire.records import Act, Idle, LabelSums, PartialCounts, Report, RouteCopy


class ModelJudge:
    """Judges one model.

    Parameters
    ----------
    state
        What is remembered of it; changed in place.
    references
        Finds the baseline of a version.
    spell
        Writes an event time in the texts of alerts.
    at_ms
        When the message came, by Kafka's clock; 0 where that is not known.
    """

    def __init__(self, state: ModelState, references: Baselines, spell: Callable[[int], str], at_ms: int = 0) -> None:
        self.state = state
        self._at_ms = at_ms
        self._references = references
        self._spell = spell
        self._book = Book(state.next_incident)

    def add_counts(self, message: PartialCounts) -> list[Output]:
        """Add a block's counts; its watermark may close windows."""
        output: list[Output] = []
        for minute in message.minutes:
            segment = self._segment(message.version, minute.segment)
            window = segment.windows.add_rows(minute.minute_ms, unpack(minute), minute.late, minute.ids)
            if changed := restates_now(window):
                output += self._monitor(message.version, minute.segment).restate(changed)
        whole = self._segment(message.version, "")
        whole.refused.add(message.minutes, message.refused)
        self._source(message.topic, message.partitions).advance(
            message.version, message.partition, message.partitions, message.watermark_ms
        )
        far_behind = whole.behind.observe(message.leaps or [], message.behind or 0)
        if far_behind and message.watermark_ms is not None:  # Told at once: no window may close any more that would.
            monitor = self._monitor(message.version, "", last=False)
            output += leaving(self.state, quality.judge_far_behind(monitor, message.watermark_ms))
        return output + self._advance()

    def add_labels(self, message: LabelSums) -> list[Output]:
        """Add labels; they restate reports, and are no evidence until event time goes on, or stands still, or a window
        has them all.
        """
        segment = self._segment(message.version, message.segment)
        if message.faults:
            segment.windows.add_label_faults(message.minute_ms, message.faults)
        cells = np.frombuffer(message.cells, "<i8").astype(np.int64).reshape(-1, 4)
        if not cells.any():
            return []
        reached, labels = self.state.reached.get(message.version), int(cells[:, LABELLED].sum())
        window = segment.windows.add_labels(message.minute_ms, cells, self._at_ms)
        if reached is not None and labels > 0:  # A correction tells nothing of delays.
            delay = reached - calendar_of(self.state.watch).span(message.minute_ms)[1]
            segment.windows.delays.add(self._real_delay(delay, window), labels, self.state.watch)
        asleep = self.state.asleep
        monitor = self._monitor(message.version, message.segment)
        output: list[Output] = [*monitor.restate(restates_now(window, asleep))]
        whole = window is not None and window.all_labelled
        return output + (self._measure_labelled(message.version) if asleep or whole else [])

    def _real_delay(self, delay_ms: int, window: WindowRecord | None) -> int:
        """How long labels took after the end of their window: no longer than by Kafka's clock, for event time goes by
        faster than a clock while a past is sent. By that clock it is known when the window closed.
        """
        if window is None or not (self._at_ms and window.closed_at_ms):
            return delay_ms
        return min(delay_ms, self._at_ms - window.closed_at_ms + self.state.watch.lateness_ms_max)

    def mark_idle(self, message: Idle) -> list[Output]:
        """A partition holds the watermark back no more."""
        self._source(message.topic, message.partitions).mark_idle(
            message.partition, message.partitions, message.asleep, message.repeated, message.at_ms
        )
        output = self._advance()
        if self.state.asleep:
            for (version, segment), _ in self.state.judged():
                output += leaving(self.state, quality.judge_silence(self._monitor(version, segment)))
                output += [] if segment else self._measure_labelled(version)
        return output + self._restate_all()

    def follow_route(self, message: RouteCopy) -> list[Output]:
        """Follow a new route. Incidents of a version that serves no more are over."""
        state, route = self.state, message.route
        if route.epoch <= state.epoch:
            return []
        output: list[Output] = []
        for version, segment in sorted(state.segments):
            if version != route.champion:
                ended = f"ended: {state.model} is now served by {route.champion}, and no longer by {version}"
                output += leaving(state, self._monitor(version, segment).retire(route.ts, ended))
        if (route.champion, route.canary) != (state.champion, state.canary):
            for version, segment in state.segments:  # Another share of the rows is another volume.
                why = "the route has changed, so what is usual is learnt again"
                output += leaving(state, quality.forget_volume(self._monitor(version, segment), route.ts, why))
        state.watch, state.epoch, state.champion, state.canary = route.watch, route.epoch, route.champion, route.canary
        state.routed = {route.champion, *route.canary, *route.shadows}
        return output

    def follow_act(self, act: Act) -> list[Output]:
        """Follow what a person decided about an open incident.

        Raises
        ------
        ActError
            No open incident of the model is called so, or it cannot be accepted as it is.
        """
        monitors = [self._monitor(version, segment) for version, segment in sorted(self.state.segments)]
        return [follow_act(self.state, monitors, act, self._spell)]

    def finish(self) -> list[Output]:
        """Close every window, as the last messages of a closed range."""
        return self._close(lambda _: None, last=True) + self._restate_all()

    def _segment(self, version: str, segment: str) -> SegmentState:
        if (version, segment) not in self.state.segments:
            self.state.segments[version, segment] = SegmentState.begin(self._references(version), segment)
        return self.state.segments[version, segment]

    def _monitor(self, version: str, segment: str, last: bool = True) -> SegmentMonitor:
        """The monitor of a segment as the route says now; ``last`` says that nothing more is expected."""
        held, state = self._segment(version, segment), self.state
        context = MonitorContext(
            model=state.model,
            version=version,
            segment=segment,
            epoch=state.epoch,
            watch=state.watch,
            reference=held.reference,
            opens=state.champion in (None, version),
            last=last,
            spell=self._spell,
            at_ms=self._at_ms,
        )
        return SegmentMonitor(held, context, self._references, self._book)

    def _source(self, topic: str, partitions: int) -> Source:
        return self.state.sources.setdefault(topic, Source(partitions))

    def _advance(self) -> list[Output]:
        """Close and judge what event time has passed, and forget what may no more be restated."""
        state = self.state
        versions = [v for v in dict.fromkeys(key[0] for key, _ in state.judged()) if self._reach(v)]
        if not versions:
            return []
        output = self._close(state.reached.get, versions)
        for (version, segment), held in sorted(state.segments.items()):
            if version in versions:
                due = held.windows.due(state.watch, state.reached[version])
                output += self._monitor(version, segment).restate(due)
                serves = not state.routed or version in state.routed
                held.windows.forget(state.watch, state.reached[version], awaits=serves)
        if state.routed:  # Of a version that serves no more nothing is left; should it serve again, it begins anew.
            several = state.segments.items()
            state.segments = {key: held for key, held in several if key[0] in state.routed or not held.windows.empty}
        return output

    def _reach(self, version: str) -> bool:
        """Whether a version's watermark has moved on.

        A version waits for its own rows: of one block they may come after another's. One that the route names no more
        may never speak again; it goes by whichever version has come furthest.
        """
        state = self.state
        awaited = version if not state.routed or version in state.routed else None
        reached = watermark(state.sources.values(), state.watch, awaited)
        if reached is None or reached <= state.reached.get(version, reached - 1):
            return False
        state.reached[version] = reached
        return True

    def _close(
        self, reached: Callable[[str], int | None], versions: Collection[str] | None = None, last: bool = False
    ) -> list[Output]:
        """Close what is ready of some versions, and judge what has its labels, in order of time."""
        keys = [key for key, _ in self.state.judged() if versions is None or key[0] in versions]
        output: list[Output] = []
        while (step := next_step(self.state, keys, reached, self._at_ms)) is not None:
            monitor = self._monitor(*step.key, last=last or self.state.asleep)
            several = step.run(monitor)
            output += leaving(self.state, several)
            for report in several:
                if isinstance(report, Report) and not report.revision:
                    output += unmuted(self.state, monitor, report.window_end, self._spell)
        return output

    def _measure_labelled(self, version: str) -> list[Output]:
        """Judge the performance of windows that have all of their labels, in order; and by the labels that they have,
        where all sources are asleep, for event time brings no more of them.
        """
        state = self.state
        clock_ms = seen_asleep(state.sources.values()) if state.asleep else None
        held, reached = state.segments.get((version, "")), state.reached.get(version)
        output: list[Output] = []
        if held is None or reached is None:
            return output
        monitor, windows = self._monitor(version, ""), held.windows
        while (window := windows.whole()) is not None:
            output += leaving(state, measure(monitor, window))
        if clock_ms is None:
            return output
        while (window := windows.unjudged(state.watch, max(reached, clock_ms))) is not None:
            output += leaving(state, monitor.judge(window))
        while (window := windows.unmeasured(state.watch, reached, clock_ms, self._at_ms)) is not None:
            output += leaving(state, measure(monitor, window))
        return output

    def _restate_all(self) -> list[Output]:
        return [
            report
            for (version, segment), held in self.state.judged()
            for report in self._monitor(version, segment).restate(held.windows.closed)
        ]
