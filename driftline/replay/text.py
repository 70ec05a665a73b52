"""A replay said aloud: the answer first, then what stands behind it."""

from collections.abc import Iterator

from drift.incidents import rfc3339
from driftline.replay.result import Incident, Metric, Pair, Predictions, Replay, same


def answer(result: Replay) -> str:
    """One sentence that answers the question.

    >>> answer(Replay(stretch={0: (0, 3)}, predictions=Predictions(compared=3, equal=3)))
    '3 of 3 predictions equal, bit for bit.'
    >>> answer(Replay(stretch={0: (0, 9)}, predictions=Predictions(compared=3, equal=3, missing=6)))
    '3 of 3 predictions equal, bit for bit, but 6 of the served are missing.'
    """
    predictions = result.predictions
    if not (predictions.compared or predictions.missing or predictions.extra):
        return "Nothing to compare: no prediction of this stretch was served, or none is left on the topics."
    if predictions.equal == predictions.compared:
        sentence = f"{predictions.equal:,} of {predictions.compared:,} predictions equal, bit for bit"
    else:
        sentence = (
            f"{predictions.compared - predictions.equal:,} of {predictions.compared:,} predictions differ, "
            f"{predictions.changed:,} ({predictions.changed / predictions.compared:.1%}) in what they say"
        )
    sentence += _unpaired(predictions)
    if result.as_served:
        return f"{sentence}{_same_word(result)}."
    return f"{sentence}; {_pages(result)}."


def _unpaired(predictions: Predictions) -> str:
    """Say which predictions have no counterpart."""
    several = ((predictions.missing, "of the served are missing"), (predictions.extra, "are new"))
    parts = [f"{number:,} {what}" for number, what in several if number]
    return f", but {' and '.join(parts)}" if parts else ""


def _same_word(result: Replay) -> str:
    windows = result.drift.windows
    if not windows.replayed:
        return ""
    if windows.served == windows.replayed == windows.equal:
        return f"; so are all {windows.equal:,} reports of the judge"
    return f"; {windows.equal:,} of {max(windows.served, windows.replayed):,} reports of the judge are equal"


def _pages(result: Replay) -> str:
    def count(side: str) -> int:
        incidents = (getattr(pair, side) for pair in result.drift.incidents)
        return sum(1 for incident in incidents if incident is not None and incident.paged is not None)

    served, replayed = count("served"), count("replayed")
    return f"pages: {served} served, {replayed} replayed"


def lines(result: Replay) -> Iterator[str]:
    """Everything, in lines of a terminal."""
    yield answer(result)
    yield ""
    stretch = "  ".join(f"{partition}:{first}-{end}" for partition, (first, end) in result.stretch.items())
    when = "" if result.since is None else f"   {rfc3339(result.since)} to {rfc3339(result.until or 0)}"
    yield f"requests     {stretch}{when}"
    if not result.as_served:
        changed = [f"answered by {result.model}"] if result.model else []
        changed += [f"watched by {result.settings}"] if result.settings else []
        yield f"replayed     {', '.join(changed)}"
    yield from _predictions(result.predictions)
    yield from _drift(result)
    yield from (_metric(n, metric) for n, metric in enumerate(result.performance))
    yield f"took         {result.seconds:.1f} s"


def _predictions(predictions: Predictions) -> Iterator[str]:
    yield (
        f"predictions  {predictions.compared:,} compared, {predictions.equal:,} equal, "
        f"{predictions.missing:,} missing, {predictions.extra:,} extra, {predictions.refused:,} dead letters"
    )
    if predictions.unread:
        yield f"             {predictions.unread:,} were served, and are no more on `predictions`"
    if predictions.by_fallback:
        yield f"             {predictions.by_fallback:,} were answered by a fallback, for a version that was away"
    if predictions.equal < predictions.compared:
        yield f"             score: {predictions.mean:.3g} away on average, {predictions.most:.3g} at the most"
    for example in predictions.examples:
        yield (
            f"             {example.id:<12} {example.place:<20} {example.served} ({example.served_score:.4f})"
            f" -> {example.replayed} ({example.replayed_score:.4f})"
        )


def _drift(result: Replay) -> Iterator[str]:
    drift = result.drift
    if drift.counts is not None and drift.counts.minutes:
        yield f"counts       {drift.counts.equal:,} of {drift.counts.minutes:,} minutes recounted to the same sums"
    for begins in drift.begins:
        yield f"judge        from {begins}"
    windows = drift.windows
    other_fields = windows.new_fields or windows.gone_fields
    equal = "equal in the fields that both have" if other_fields else "equal byte for byte"
    what = equal if result.as_served else "with the same columns drifted"
    if windows.served or windows.replayed:
        yield f"reports      {windows.served:,} served, {windows.replayed:,} replayed, {windows.equal:,} {what}"
    if windows.new_fields:
        yield f"             new, and not compared: {', '.join(windows.new_fields)}"
    if windows.gone_fields:
        yield f"             unknown to this version, and not compared: {', '.join(windows.gone_fields)}"
    if drift.incidents:
        yield f"incidents    {'served':<56}replayed"
    if result.as_served and windows.equal < windows.replayed:
        yield f"             {windows.agreed:,} windows name the same columns; did another Driftline judge then?"
    for pair in drift.incidents:
        yield from _pair(pair)


def _pair(pair: Pair) -> Iterator[str]:
    left, right = ([] if first is None else list(_incident(first)) for first in (pair.served, pair.replayed))
    if same(pair):
        right = ["the same"]
    for n in range(max(len(left), len(right))):
        first, second = (side[n] if n < len(side) else "-" if n == 0 else "" for side in (left, right))
        yield f"             {first:<56}{second}".rstrip()


def _incident(incident: Incident) -> Iterator[str]:
    columns = ", ".join(incident.columns[:3]) + (
        f", {len(incident.columns) - 3} more" if len(incident.columns) > 3 else ""
    )
    yield f"{incident.id}  {incident.severity} {incident.kind}: {columns}"
    yield f"  since {rfc3339(incident.change_point)}, told {rfc3339(incident.opened)}"
    yield f"  paged {rfc3339(incident.paged)}" if incident.paged is not None else "  not paged"


def _metric(number: int, measured: Metric) -> str:
    head = "performance" if number == 0 else ""
    interval = f"{measured.difference:+.4f} ({measured.low:+.4f} to {measured.high:+.4f})"
    gap = "the same" if measured.difference == measured.low == measured.high == 0 else interval
    figures = f"{measured.served:.4f} served, {measured.replayed:.4f} replayed"
    return f"{head:<13}{measured.metric:<9} {figures}: {gap}, {measured.rows:,} labels"
