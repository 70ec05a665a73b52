"""A replay from its first line to its result."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from drift.reference.catalogue import Catalogue
from driftline.progress import OnProgress
from driftline.replay import compare_verdicts as heard
from driftline.replay import paired_metrics as quality
from driftline.replay.compare_predictions import Comparing
from driftline.replay.overrides import Change, ReplayError
from driftline.replay.rejudge import Judging
from driftline.replay.relabel import Relabelled, known, outcomes
from driftline.replay.rescore import Scoring
from driftline.replay.result import Drift, Recounted, Replay
from driftline.replay.served import Observed, observed, predictions
from inference import Scorer
from streams.clock import now_ms, ticks_ms
from streams.kafka import group_offsets as progress
from streams.kafka import ranges
from streams.kafka.cluster import Cluster
from streams.kafka.stretch import Stretch, stretch
from streams.routes import read_book
from streams.wire.records import Route


def replay(
    cluster: Cluster,
    load: Callable[[str, str], Scorer],
    catalogue: Catalogue,
    start: str | None = None,
    end: str | None = None,
    change: Change | None = None,
    on_progress: OnProgress = lambda what, done, total: None,
) -> Replay:
    """Run a stretch of `requests` again and say what differs from what was served.

    Parameters
    ----------
    load, catalogue
        Find a version of a model, and its reference.
    start, end
        Places in the log as `streams.kafka.stretch.moment` reads them; the whole topic by default.
    change
        What is to be otherwise; nothing by default.
    on_progress
        Told how far it is.

    Raises
    ------
    ReplayError, MomentError
        There is nothing to replay, or the change names a model that does not serve.
    """
    began, change = ticks_ms(), change or Change()
    history = read_book(cluster).history
    if not history:
        raise ReplayError("no model has ever served here: `models` is empty; is this the right Kafka?")
    one = _Run(cluster, load, catalogue, history, change, on_progress)
    result = one.run(start, end)
    result.seconds = (ticks_ms() - began) / 1000
    return result


class _Run:
    def __init__(
        self,
        cluster: Cluster,
        load: Callable[[str, str], Scorer],
        catalogue: Catalogue,
        history: Sequence[Route],
        change: Change,
        on_progress: OnProgress,
    ) -> None:
        self._cluster = cluster
        self._catalogue = catalogue
        self._history = history
        self._change = change
        self._instead = change.instead(sorted({route.model for route in history}))
        self._scoring = Scoring(load, history, self._instead)
        self._on_progress = on_progress
        self._done = self._of = 0
        for model, version in self._instead.items():
            self._scoring.package(model, version)  # what is not there should be said before the work

    def run(self, start: str | None, end: str | None) -> Replay:
        """Score, compare, judge, compare."""
        self._on_progress("reading what was served", 0, None)
        settled = self._settled()
        asked = stretch(self._cluster, "requests", settled, start, end, now_ms())
        result = Replay(stretch=dict(asked), model=self._change.model, settings=self._change.settings)
        served = {partition: observed(self._cluster, partition, *asked[partition]) for partition in asked}
        whole = {partition: _widened(asked[partition], served[partition]) for partition in asked}
        self._of = sum(last - first for first, last in whole.values())
        seen = [one for several in served.values() for one in several]
        joined = outcomes(self._cluster, min((one.time for one in seen), default=now_ms()))
        comparing = Comparing(result.as_served, frozenset(outcome.id for _, outcome in joined))
        messages: list[Any] = []
        for partition in asked:
            messages += self._score(result, comparing, partition, asked[partition], whole[partition], served[partition])
        result.predictions = comparing.result()
        result.performance = quality.metrics(comparing.rows, known(joined), self._scoring.package)
        if seen:
            labels = Relabelled(self._catalogue, joined, comparing.rows)
            to_end = all(asked.get(partition, (0, 0))[1] >= end for partition, (_, end) in settled.items())
            result.drift = self._judge(result.as_served, whole, to_end, seen, messages, labels)
        return result

    def _settled(self) -> Stretch:
        """The topic up to what the worker has settled; all of it where no worker has ever."""
        bounds = ranges.bounds(self._cluster, "requests")
        done = progress.committed(self._cluster, "score", "requests")
        if not any(done[partition] > low for partition, (low, _) in bounds.items()):
            return bounds
        return {partition: (low, done[partition]) for partition, (low, _) in bounds.items()}

    def _score(
        self,
        result: Replay,
        comparing: Comparing,
        partition: int,
        asked: tuple[int, int],
        whole: tuple[int, int],
        served: list[Observed],
    ) -> list[tuple[Observed, bytes]]:
        """Score one partition again and compare its predictions; returns its observations."""
        was = predictions(self._cluster, partition, served)
        unread = 0 if was else sum(len(one.ids) for one in served if one.answers)
        comparing.found.unread += unread
        messages: list[tuple[Observed, bytes]] = []
        replayed = {}
        for again in self._scoring.again(self._cluster, partition, *whole, served):
            messages += again.observations
            replayed.update(again.predictions)
            offsets = {offset for offset in again.offsets if asked[0] <= offset < asked[1]}
            comparing.found.requests += len(offsets)
            comparing.found.refused += len(offsets - {place[0] for place in again.predictions})
            first, last = again.times
            result.since = first if result.since is None else min(result.since, first)
            result.until = last if result.until is None else max(result.until, last)
            self._done += len(again.offsets)
            self._on_progress("scoring requests", self._done, self._of)
        if not unread:
            comparing.take(partition, _within(was, asked), _within(replayed, asked))
        return messages

    def _judge(
        self,
        as_served: bool,
        whole: Stretch,
        to_end: bool,
        served: Sequence[Observed],
        messages: Sequence[tuple[Observed, bytes]],
        labels: Relabelled,
    ) -> Drift:
        judging = Judging(
            self._cluster,
            self._catalogue,
            whole,
            to_end=to_end,
            served=served,
            messages=messages,
            history=self._history,
            instead=self._instead,
            alter=None if as_served else lambda route: self._change.alter(route, self._instead),
            labels=labels,
            on_progress=self._on_progress,
        )
        retold = list(judging.retell())
        again = heard.again(said for one in retold for said in one.told)
        spans = heard.closed(again)
        then = heard.live(self._cluster, retold)
        champions = {model: {v.head.version for v in served if v.role == "champion"} for model in self._instead}
        then = then.within(spans, champions)
        # Both sides alike: an act may be about an incident of an earlier window.
        again = again.within(spans, {} if as_served else {model: {v} for model, v in self._instead.items()})
        sums = [one.recorded.against(one.recounted) for one in retold] if as_served else []
        return Drift(
            begins=[one.begins for one in retold],
            counts=Recounted(sum(s.minutes for s in sums), sum(s.equal for s in sums)) if as_served else None,
            windows=heard.compare_reports(then, again, as_served),
            incidents=heard.side_by_side(heard.incidents(then.alerts), heard.incidents(again.alerts)),
        )


def _widened(asked: tuple[int, int], served: Sequence[Observed]) -> tuple[int, int]:
    """A stretch of a partition, widened to whole live blocks."""
    return (
        min([asked[0], *(one.head.first for one in served)]),
        max([asked[1], *(one.head.last + 1 for one in served)]),
    )


def _within(answers: Mapping[tuple[int, int], bytes], asked: tuple[int, int]) -> dict[tuple[int, int], bytes]:
    return {place: value for place, value in answers.items() if asked[0] <= place[0] < asked[1]}
