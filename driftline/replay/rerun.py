"""A recording run again through the same stages, and held against itself: no topic, no store and no clock."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from drift.reference.catalogue import Catalogue
from driftline.progress import OnProgress, unwatched
from driftline.replay import compare_verdicts as verdicts
from driftline.replay import paired_metrics
from driftline.replay.compare_incidents import incidents, side_by_side
from driftline.replay.compare_predictions import Comparing
from driftline.replay.overrides import Change
from driftline.replay.recording import Recording
from driftline.replay.rejudge import Rejudged, Rejudging
from driftline.replay.relabel import Relabelled, known
from driftline.replay.rescore import Again, Scoring
from driftline.replay.result import Drift, Recounted, Replay
from driftline.replay.served import Observed, Place, predictions
from inference import Scorer


def rerun(
    recording: Recording,
    load: Callable[[str, str], Scorer],
    catalogue: Catalogue,
    change: Change,
    on_progress: OnProgress = unwatched,
) -> Replay:
    """Score, compare, judge, compare.

    Parameters
    ----------
    recording
        The stretch.
    load, catalogue
        Find a version of a model, the same one each time, and its reference.
    change
        What is to be otherwise.
    on_progress
        Called with what is being done and how far it is.

    Raises
    ------
    ReplayError
        The change names a model that does not serve, or a judged version has no usable reference.
    """
    instead = change.instead(recording.models)
    result = Replay(stretch=dict(recording.stretch), model=change.model, settings=change.settings)
    comparing = Comparing(change.as_served, frozenset(outcome.id for _, outcome in recording.outcomes))
    scoring = Scoring(load, recording.routes, instead, {message.head.model for message in recording.observations})
    replayed = _score(recording, scoring, comparing, result, on_progress)
    result.predictions = comparing.result()
    labels = known(recording.outcomes)
    result.performance = paired_metrics.metrics(comparing.rows, labels, lambda *version: load(*version).package)
    if recording.judges:
        judge = partial(
            Rejudging,
            recording=recording,
            catalogue=catalogue,
            change=change,
            instead=instead,
            replayed=replayed,
            labels=Relabelled(catalogue, recording.outcomes, comparing.rows),
        )
        rejudged = [verdict for log in recording.judges if (verdict := judge(log).run(on_progress)) is not None]
        result.drift = _compare(recording, change.as_served, instead, rejudged)
    return result


def _score(
    recording: Recording, scoring: Scoring, comparing: Comparing, result: Replay, on_progress: OnProgress
) -> list[tuple[Observed, bytes]]:
    """Score every partition again and compare its predictions; returns the observations."""
    total = sum(end - first for first, end in recording.whole.values())
    done = 0
    observations: list[tuple[Observed, bytes]] = []
    for partition, named in recording.stretch.items():
        served = recording.served[partition]
        replayed: dict[Place, bytes] = {}
        for again in scoring.again(recording.requests[partition], served):
            observations += again.observations
            replayed.update(again.predictions)
            comparing.count_requests(_count(again, named))
            result.extend(again.times)
            done += len(again.offsets)
            on_progress("scoring requests", done, total)
        then = predictions(recording.predictions[partition], served)
        if not then and (unread := sum(len(message.ids) for message in served if message.answers)):
            comparing.totals.unread += unread
        else:
            comparing.add(partition, _within(then, named), _within(replayed, named))
            comparing.totals.by_fallback += _by_fallback(served, named)
    return observations


def _count(again: Again, named: tuple[int, int]) -> tuple[int, int]:
    """Requests of the stretch as it was named, and how many of them were refused."""
    offsets = {offset for offset in again.offsets if named[0] <= offset < named[1]}
    return len(offsets), len(offsets - {offset for offset, _ in again.predictions})


def _within(answers: Mapping[Place, bytes], named: tuple[int, int]) -> dict[Place, bytes]:
    return {request: value for request, value in answers.items() if named[0] <= request[0] < named[1]}


def _by_fallback(served: Sequence[Observed], named: tuple[int, int]) -> int:
    """Rows of the stretch as it was named that a fallback answered."""
    offsets = [message.offsets for message in served if message.by_fallback]
    return sum(int(((named[0] <= each) & (each < named[1])).sum()) for each in offsets)


def _compare(recording: Recording, as_served: bool, instead: Mapping[str, str], rejudged: Sequence[Rejudged]) -> Drift:
    now = verdicts.published(message for partition in rejudged for message in partition.published)
    spans = verdicts.closed(now)
    served = recording.observations
    champions = {model: {o.head.version for o in served if o.role == "champion"} for model in instead}
    then = verdicts.recorded(rejudged).within(spans, champions)
    # Both sides alike: an act may be about an incident of an earlier window.
    now = now.within(spans, {} if as_served else {model: {version} for model, version in instead.items()})
    sums = [partition.recorded.against(partition.recounted) for partition in rejudged]
    return Drift(
        begins=[partition.begins for partition in rejudged],
        counts=Recounted(sum(s.minutes for s in sums), sum(s.equal for s in sums)) if as_served else None,
        windows=verdicts.compare_reports(then, now, as_served),
        incidents=side_by_side(incidents(then.alerts), incidents(now.alerts)),
    )
