"""A lane: the windows, the evidence and the incidents of one model version and segment."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import numpy as np

from drift.cells.cells import SCORE
from drift.cells.sums import Sums
from drift.counting.calendar import calendar_of
from drift.evidence import Detector, Look
from drift.incidents import Flow, Harm, Incidents, Labelled, Scene, evidence_of
from drift.incidents.behind import Behind
from drift.incidents.changed_column import fault
from drift.incidents.estimated_loss import Hopes
from drift.incidents.label_faults import label_fault
from drift.incidents.refused_requests import BROKEN, Refused, sentence
from drift.incidents.river_opinions import Course, asked
from drift.incidents.row_quality import LABEL_FAULTS, LATE, REFUSED, REPEATED, Shares, certain
from drift.performance.label_sums import LABELLED
from drift.performance.losses import amount
from drift.reference.baseline import Baseline
from drift.reference.learning import Learning, LossLearning, only
from drift.reference.new_normal import NewNormal
from drift.reference.tolerances import tolerance
from drift.windows import report as window_report
from drift.windows.packed_sums import keep
from drift.windows.report import Verdict
from drift.windows.windows import Closed, Span, Windows, judged_at
from streams.wire.records import MINUTE_MS, Alert, Report, Watch

#: A closed window's report leaves again at once when so many rows or labels in a hundred are new; else when it is due.
RESTATE_PERCENT = 20


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What holds when a window closes: whose it is, how it is watched, whether it may open incidents, and whether
    nothing more is expected, so that it may hold less than it should.
    """

    model: str
    version: str
    segment: str
    epoch: int
    watch: Watch
    opens: bool
    last: bool
    say: Callable[[int], str]


class Lane(msgspec.Struct, kw_only=True, eq=False):
    """One model version and segment.

    Evidence and incidents are those of all rows; a segment of them has reports with effects alone. ``harm`` begins with
    the first labels. ``scores`` and ``errors`` are how the mean score and the mean error went, for second opinions.
    ``learning`` and ``loss_learning`` are there where the order of the reference's rows is unknown. ``normal`` is what
    has been accepted as usual since.
    """

    reference: str
    windows: Windows
    detector: Detector | None
    incidents: Incidents
    harm: Harm | None = None
    flow: Flow = msgspec.field(default_factory=Flow)
    shares: Shares = msgspec.field(default_factory=Shares)
    hopes: Hopes = msgspec.field(default_factory=Hopes)
    scores: Course = msgspec.field(default_factory=Course)
    errors: Course = msgspec.field(default_factory=Course)
    refused: Refused = msgspec.field(default_factory=Refused)
    learning: Learning | None = None
    loss_learning: LossLearning | None = None
    behind: Behind = msgspec.field(default_factory=Behind)
    normal: NewNormal | None = None

    @classmethod
    def begin(cls, baseline: Baseline, segment: str) -> "Lane":
        """Begin with nothing but the reference."""
        detector = None if segment else Detector.over(baseline.asked, baseline.reference.expected)
        learning = Learning() if detector is not None and baseline.reference.order == "unknown" else None
        return cls(
            reference=baseline.reference.id,
            windows=Windows(),
            detector=detector,
            incidents=Incidents(),
            learning=learning,
            loss_learning=None if learning is None else LossLearning(),
        )

    def close(self, span: Span, baseline: Baseline, rule: Rule, number: Callable[[], int]) -> list[Report | Alert]:
        """Close the next window: evidence by its timely rows, the report by all. A partial one is no evidence: hours
        that are missing would be taken for a change.
        """
        baseline, partial = self.measured(baseline), self.windows.partial(span, rule.last)
        # Its length or its zone has changed within it: it holds but a part of a day.
        partial = partial or calendar_of(rule.watch).span(span.start)[0] != span.start
        timely, late, labels = self.windows.take(span)
        repeated, sampled = self.windows.take_ids(span)
        sums = timely if late is None else timely + late
        alerts: list[Alert] = []
        verdicts: list[Verdict] = []
        total = 0.0
        if self.detector is not None and partial:
            self.flow.until = span.end
        elif self.detector is not None:
            scene = self._scene(self.detector, span, baseline, rule, timely)
            baseline, total = scene.baseline, evidence_of(scene.log_total)
            if rule.opens:
                alerts = self.incidents.take(scene, number)
            alerts += self._hopes(rule, span, scene, number)
            self._hear_scores(baseline, span, timely)
            alerts = [asked(alert, self.scores, "score", False, rule.say) for alert in alerts]
            alerts += self._flow(rule, span, timely.rows, number)
            verdicts = self._verdicts(scene)
        head = Report(
            model=rule.model,
            version=rule.version,
            segment=rule.segment,
            window_start=span.start,
            window_end=span.end,
            rows=sums.rows,
            late_rows=0 if late is None else late.rows,
            reference=baseline.reference.id,
            evidence=total,
            budget=rule.watch.false_alarm_every,
            columns=[],
            partial=partial or msgspec.UNSET,
            learning=(self.learning and self.learning.windows_left) or msgspec.UNSET,
        )
        window = Closed(
            span=span,
            report=head,
            kept=keep(sums),
            evidence=np.array([verdict.evidence for verdict in verdicts]),
            drifted=np.array([verdict.drifted for verdict in verdicts], bool),
            labels=labels,
            label_faults=self.windows.take_label_faults(span),
            repeated=repeated,
            sampled=sampled,
        )
        self.windows.keep(window, baseline.score)
        return [window_report.full(baseline, rule.watch, window, sums), *alerts]

    def _scene(self, detector: Detector, span: Span, baseline: Baseline, rule: Rule, timely: Sums) -> Scene:
        """Take a window's timely rows as evidence, and put together what the rules of incidents look at."""
        look = detector.take(baseline.asked, baseline.spread, timely.cells, timely.rows, span.start)
        baseline, look = self._learn(detector, baseline, look, timely.cells)
        return Scene(
            model=rule.model,
            version=rule.version,
            segment=rule.segment,
            epoch=rule.epoch,
            baseline=baseline,
            watch=rule.watch,
            detector=detector,
            look=look,
            start=span.start,
            end=span.end,
            window=timely.cells,
            say=rule.say,
        )

    def measured(self, baseline: Baseline, reference: str = "") -> Baseline:
        """Allow for what has been accepted as usual (but for what was reported by another reference), and for what the
        stream has shown of how windows differ.
        """
        if self.normal is not None and reference != baseline.reference.id:
            baseline = baseline.overlaid(self.normal)
        return baseline if self.learning is None else baseline.widened(self.learning.effects)

    def _learn(self, detector: Detector, baseline: Baseline, look: Look, window: np.ndarray) -> tuple[Baseline, Look]:
        """Learn how windows differ, if that is unknown; only what is broken is evidence till then."""
        if self.learning is None or self.learning.effects is not None:
            return baseline, look
        if self.learning.observe(baseline, window):
            wider = self.measured(baseline)
            detector.rescale(baseline.spread / wider.spread)
            return wider, detector.look(baseline.asked)
        columns, was = baseline.reference.columns, baseline.reference.expected
        spans = [baseline.cells(place) for place in range(len(columns))]
        broken = [bool(fault(c, window[span], was[span])) for c, span in zip(columns, spans, strict=True)]
        return baseline, only(look, np.array(broken))

    def _verdicts(self, scene: Scene) -> list[Verdict]:
        """Each column's evidence in this window: while an incident names it, at least what it was named for."""
        found = []
        for column in range(len(scene.weighted)):
            log_evidence, moved = float(scene.weighted[column]), self.incidents.moved(column)
            if moved is None:
                found.append(Verdict(evidence_of(log_evidence), False))
            else:
                highest = max(log_evidence, moved.log_evidence)
                found.append(Verdict(evidence_of(highest), moved.drifted(scene)))
        return found

    def judge(self, window: Closed, baseline: Baseline, rule: Rule, number: Callable[[], int]) -> list[Alert]:
        """Judge what comes late to a closed window, labels and rows, once, when they have had their time; later ones
        restate only.

        A window without a label, or of a model whose labels are known to take longer, is measured when they have come.
        """
        window.judged, baseline = True, self.measured(baseline)
        alerts = [] if window.shared else self._shares(rule, window, number)
        alerts += self._label_faults(baseline, rule, window, number)
        if not baseline.losses(rule.watch) or baseline.reference.score is None:
            return alerts
        late = self.windows.measured_at(rule.watch, window.span) > judged_at(rule.watch, window.span)
        window.awaits_labels = late or window.labels is None
        return alerts if window.awaits_labels else alerts + self.measure(window, baseline, rule, number)

    def share(self, window: Closed, baseline: Baseline, rule: Rule, number: Callable[[], int]) -> list[Alert]:  # noqa: ARG002
        """Ask of a window's late rows before its labels have had their time."""
        window.shared = True
        return self._shares(rule, window, number)

    def measure(self, window: Closed, baseline: Baseline, rule: Rule, number: Callable[[], int]) -> list[Alert]:
        """Judge a window's performance by its labels."""
        window.awaits_labels, baseline = False, self.measured(baseline)
        losses, score = baseline.losses(rule.watch), baseline.reference.score
        if window.labels is None or not losses or score is None:
            return []
        if self.loss_learning is not None:
            if self.harm is None or self.harm.open is None:  # Windows of an open incident do not show the usual spread.
                now = amount(baseline.reference, losses[0].metric, window.labels)
                self.loss_learning.observe(now.rows, now.total, now.squares)
            if not self.loss_learning.ready:
                return []
            losses = baseline.losses(rule.watch, self.loss_learning.effect(baseline.reference.loss_design_effect))
        if self.harm is None:
            self.harm = Harm.begin(losses, score.size)
        labelled = Labelled(
            model=rule.model,
            version=rule.version,
            epoch=rule.epoch,
            watch=rule.watch,
            reference=baseline.reference,
            losses=losses,
            share=baseline.performance_share(rule.watch),
            start=window.span.start,
            end=window.span.end,
            rows=window.report.rows,
            sums=window.labels,
            opens=rule.opens,
            say=rule.say,
        )
        told, headline = self.harm.take(labelled, number), losses[0]
        self.errors.take(window.span.start, labelled.labelled, labelled.amount(headline, window.labels).mean)
        by_row = headline.metric == "accuracy"
        return [asked(alert, self.errors, "error", by_row, rule.say) for alert in told]

    def _hear_scores(self, baseline: Baseline, span: Span, timely: Sums) -> None:
        """Keep the mean of a window's finite scores, in the fixed point of its reference."""
        if baseline.score is None:
            return
        finite = int(timely.cells[baseline.score][1:-2].sum())
        total = int(timely.moments[baseline.reference.place(SCORE), 0])
        self.scores.take(span.start, finite, total / max(1, finite))

    def _shares(self, rule: Rule, window: Closed, number: Callable[[], int]) -> list[Alert]:
        """Ask which part of a window's rows came late, and which repeats an id."""
        blank, allowed = self._blank(rule, window.span), tolerance(rule.watch, "rate")
        found = {LATE: (window.report.late_rows, window.report.rows), REPEATED: (window.repeated, window.sampled)}
        return [
            alert
            for what, (many, rows) in found.items()
            for alert in self.shares.take(
                blank,
                what,
                many,
                rows,
                allowed,
                lambda: f"{rule.model}-{number()}",
                rule.opens,
                since=rule.say(window.span.start),
            )
        ]

    def _label_faults(self, baseline: Baseline, rule: Rule, window: Closed, number: Callable[[], int]) -> list[Alert]:
        """Ask which part of a window's labels are none that the model could be right about."""
        many = sum(window.label_faults.values())
        labels = many + (0 if window.labels is None else max(0, int(window.labels[:, LABELLED].sum())))
        blank = self._blank(rule, window.span)
        return self.shares.take(
            blank,
            LABEL_FAULTS,
            many,
            labels,
            tolerance(rule.watch, "rate"),
            lambda: f"{rule.model}-{number()}",
            rule.opens,
            "warning" if many and certain(blank, many, labels, BROKEN) else "watch",
            lambda: label_fault(baseline.reference, window.label_faults, labels, rule.say(window.span.start)),
        )

    def refuse(self, span: Span, baseline: Baseline, rule: Rule, number: Callable[[], int]) -> list[Alert]:
        """Ask which part of the requests was refused in a window that is over."""
        rows, refused = self.refused.take(span)
        many = sum(refused.values())
        blank, requests = self._blank(rule, span), rows + many
        kinds = {cells.name: cells.kind for cells in baseline.reference.columns} if many else {}
        return self.shares.take(
            blank,
            REFUSED,
            many,
            requests,
            tolerance(rule.watch, "rate"),
            lambda: f"{rule.model}-{number()}",
            rule.opens,
            "critical" if many and certain(blank, many, requests, BROKEN) else "warning",
            lambda: sentence(refused, requests, kinds, rule.say(span.start)),
        )

    def _hopes(self, rule: Rule, span: Span, scene: Scene, number: Callable[[], int]) -> list[Alert]:
        """Ask what the scores promise, where they have moved."""
        reference = scene.baseline.reference
        moved = None if reference.score is None else self.incidents.moved(reference.place(SCORE))
        blank = self._blank(rule, span)
        return self.hopes.take(scene, blank, moved, lambda: f"{rule.model}-{number()}", rule.opens)

    def _flow(self, rule: Rule, span: Span, rows: int, number: Callable[[], int]) -> list[Alert]:
        """Hold a window's rows against what is usual; those of a last one are what happened to be there."""
        if rule.last:
            self.flow.until = span.end
            return []
        blank = self._blank(rule, span)
        return self.flow.take(blank, rows, lambda: f"{rule.model}-{number()}", rule.opens, rule.say(span.start))

    def silence(self, rule: Rule, number: Callable[[], int]) -> list[Alert]:
        """Take a silence: all sources are asleep, and every window is closed."""
        edge = self.windows.edge
        if edge is None or not rule.opens:
            return []
        blank = self._blank(rule, Span(edge, edge))
        since = max([edge, *(minute + MINUTE_MS for minute in self.windows.minutes)])
        return self.flow.silence(blank, rule.say(since), lambda: f"{rule.model}-{number()}")

    def tell_behind(self, rule: Rule, reached: int, number: Callable[[], int]) -> list[Alert]:
        """Tell that rows come that lie far behind the stream."""
        blank = self._blank(rule, Span(reached, reached))
        if not rule.opens:
            return []
        return [self.behind.tell(blank, rule.watch, reached, f"{rule.model}-{number()}", rule.say)]

    def close_behind(self, baseline: Baseline, rule: Rule, number: Callable[[], int]) -> list[Alert]:  # noqa: ARG002
        """Event time has gone on since."""
        due = self.behind.closes_ms
        assert due is not None
        return self.behind.close(self._blank(rule, Span(due, due)), "event time has gone on from there")

    def _blank(self, rule: Rule, span: Span) -> Alert:
        """An alert about the quality of the data that says nothing yet."""
        return Alert(
            id="",
            incident="",
            event="open",
            model=rule.model,
            version=rule.version,
            segment=rule.segment,
            ts=span.end,
            window_start=span.start,
            window_end=span.end,
            kind="quality",
            severity="watch",
            page=False,
            columns=[],
            change_point=span.start,
            change_point_low=span.start,
            change_point_high=span.start,
            evidence=0.0,
            budget=rule.watch.false_alarm_every,
            reference=self.reference,
            epoch=rule.epoch,
            text="",
        )

    def retire(self, ts: int, why: str) -> list[Alert]:
        """Close every incident, for a reason that is no window's, and no trouble: so it is said mildly."""
        harm = self.harm.close(ts, why) if self.harm else []
        other = self.hopes.restart(ts, why) + self.flow.restart(ts, why) + self.shares.close(ts, why)
        other += self.behind.restart(ts, why)
        told = self.incidents.close_all(ts, why) + harm + other
        return [msgspec.structs.replace(alert, severity="watch") for alert in told]

    def restate(self, baseline: Baseline, watch: Watch, windows: Iterable[Closed]) -> list[Report]:
        """Tell these windows again, as far as they have changed."""
        return [
            window_report.restate(self.measured(baseline, window.report.reference), watch, window)
            for window in windows
            if window.untold
        ]

    def standing(self) -> dict[str, tuple[Any, str]]:
        """Who keeps the latest alert of each open incident: the object, and the name of its attribute."""
        held: list[tuple[Any, str]] = [(incident, "last") for incident in self.incidents.open]
        held += [(self.harm.open, "last")] if self.harm and self.harm.open else []
        held += [(rule, "open") for rule in (self.hopes, self.flow, *self.shares.known.values())]
        return {last.incident: (rule, name) for rule, name in held if (last := getattr(rule, name)) is not None}


def much(window: Closed | None, asleep: bool = False) -> list[Closed]:
    """The window that late rows or labels have changed, if it was by much: by a fifth of its rows, or where event time
    stands still (``asleep``) by as many labels as are still missing.
    """
    if window is None or not window.untold:
        return []
    least = -(-window.report.rows * RESTATE_PERCENT // 100)
    if asleep and window.labels is not None:
        least = min(least, window.report.rows - window.labelled)
    return [window] if window.untold >= least else []
