"""Labels that are known: as they were joined then, and their sums for answers that were not given then."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from drift.performance import label_sums
from drift.reference.catalogue import Catalogue, Unwatched
from drift.reference.reference import Reference
from driftline.replay.compare_predictions import Row
from streams.wire.records import MINUTE_MS, LabelSums, Outcome


def known(several: Iterable[tuple[int, Outcome]]) -> dict[tuple[str, str, str, int], str]:
    """The label that holds for each prediction (model, version, id, event time): of all its outcomes the latest."""
    held: dict[tuple[str, str, str, int], str] = {}
    for _, outcome in several:
        if outcome.sign > 0:
            held[outcome.model, outcome.version, outcome.id, outcome.ts] = outcome.label
    return held


class Relabelled:
    """Label sums for a model that did not answer then.

    Outcomes leave just before the sums that are made of them. So each recorded message of sums stands for all outcomes
    up to its own Kafka time that no earlier one stood for, and is replaced by their sums with the replayed scores.

    Parameters
    ----------
    several
        Outcomes with their Kafka times.
    rows
        Requests that were answered both times.
    """

    def __init__(self, catalogue: Catalogue, several: Sequence[tuple[int, Outcome]], rows: Iterable[Row]) -> None:
        self._catalogue = catalogue
        self._waiting: dict[str, deque[tuple[int, Outcome]]] = {}
        for time, outcome in sorted(several, key=lambda joined: joined[0]):
            self._waiting.setdefault(outcome.model, deque()).append((time, outcome))
        self._rows: Mapping[tuple[str, str, int], Row] = {
            (row.served.model, row.served.id, row.served.ts): row for row in rows
        }
        self._instead = {(row.served.model, row.served.version): row.replayed.version for row in self._rows.values()}

    def skip(self, model: str, time: int) -> None:
        """Leave out what was joined up to a Kafka time."""
        self._joined_until(model, time)

    def until(self, recorded: LabelSums, time: int) -> list[LabelSums]:
        """The sums that stand in for a recorded message."""
        groups: dict[tuple[str, str, int], list[Outcome]] = {}
        for outcome in self._joined_until(recorded.model, time):
            again = self._replayed(outcome)
            if again is not None:
                minute = again.ts // MINUTE_MS * MINUTE_MS
                for segment in dict.fromkeys(("", again.segment)):
                    groups.setdefault((again.version, segment, minute), []).append(again)
        sums = []
        for (version, segment, minute), several in groups.items():
            reference = self._reference(recorded.model, version)
            cells = None if reference is None else _add_up(reference, several)
            if reference is not None and cells is not None and cells.any():
                sums.append(
                    msgspec.structs.replace(
                        recorded,
                        version=version,
                        reference=reference.id,
                        segment=segment,
                        minute_ms=minute,
                        cells=cells.astype("<i8").tobytes(),
                        faults={},
                    )
                )
        return sums + self._faults(recorded)

    def _faults(self, recorded: LabelSums) -> list[LabelSums]:
        """Labels that were in no sum, as they were counted then: no outcome keeps what they said."""
        version = self._instead.get((recorded.model, recorded.version), recorded.version)
        reference = self._reference(recorded.model, version)
        if not recorded.faults or reference is None or reference.score is None:
            return []
        nothing = np.zeros((reference.score.size, 4), np.int64).astype("<i8").tobytes()
        return [msgspec.structs.replace(recorded, version=version, reference=reference.id, cells=nothing)]

    def _joined_until(self, model: str, time: int) -> list[Outcome]:
        waiting = self._waiting.get(model, deque())
        taken = []
        while waiting and waiting[0][0] <= time:
            taken.append(waiting.popleft()[1])
        return taken

    def _replayed(self, outcome: Outcome) -> Outcome | None:
        """The outcome with the replayed answer; itself where its request is not of the stretch, None for a shadow's."""
        row = self._rows.get((outcome.model, outcome.id, outcome.ts))
        if row is None:
            return outcome
        if outcome.version != row.served.version:
            return None
        answer = row.replayed
        return msgspec.structs.replace(
            outcome, version=answer.version, score=answer.score, prediction=answer.prediction
        )

    def _reference(self, model: str, version: str) -> Reference | None:
        try:
            reference = self._catalogue(model, version)
        except Unwatched:
            return None
        judged = reference.task in ("binary", "multiclass", "regression")
        return reference if reference.score is not None and judged else None


def _add_up(reference: Reference, several: Sequence[Outcome]) -> np.ndarray:
    labels = [outcome.label for outcome in several]
    return label_sums(
        reference,
        np.array([outcome.score for outcome in several]),
        [outcome.prediction for outcome in several],
        labels,
        np.array([outcome.sign for outcome in several]),
    )
