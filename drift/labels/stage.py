"""The join stage: a label meets its prediction.

Labels come late, early, twice and corrected. A prediction's label is the one with the latest time; a correction takes
the old outcome back and adds the new one, so sums with the sign as weight are right at any time. A label whose
prediction is not there yet moves to `feedback-waiting`, where it blocks nobody, and is joined from there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from sys import intern

import msgspec
import numpy as np

from drift.counting.stage import publication
from drift.labels.feedback import ARRIVED, WAITED, WAITING, Said, read_labels, waited
from drift.performance.label_faults import shortened, usable_label
from drift.performance.label_sums import label_sums_of_groups
from drift.reference.catalogue import Catalogue, Unwatched
from drift.reference.reference import Reference
from streams.runtime.set_aside import SetAside
from streams.wire.block import Block
from streams.wire.effects import Effects, Publish
from streams.wire.records import MINUTE_MS, LabelSums, Outcome
from streams.wire.refusals import Refusal

#: One round counts for no more: neither a step of the clock nor an outage is time in which a prediction could come.
ROUND_MS_MAX = 60_000

_JUDGED = ("binary", "multiclass", "regression")


class PredictionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One prediction as the store knows it, with the label that it has already, if any.

    ``segments`` are the segments that the row belongs to, named ``feature=level``.
    """

    id: str
    model: str
    version: str
    ts: int
    score: float
    prediction: str
    segments: tuple[str, ...] = ()
    label: str | None = None
    label_ts: int = 0


#: Finds predictions by id, in bulk; an id that has none is left out.
LookUp = Callable[[list[str]], Mapping[str, list[PredictionRow]]]

_Key = tuple[str, str, str, int]
_Group = tuple[str, str, str, int]


class Recent:
    """The labels joined last, by prediction: what the store will say once the sink has written it.

    They are kept in two generations. The older one is forgotten as a whole, by whoever knows that the store has it.
    """

    def __init__(self) -> None:
        self._older: dict[_Key, tuple[str, int]] = {}
        self._labels: dict[_Key, tuple[str, int]] = {}

    def former(self, row: PredictionRow) -> tuple[str, int] | None:
        """Label and its time that a prediction has so far."""
        stored = None if row.label is None else (row.label, row.label_ts)
        return self._labels.get(_key(row)) or self._older.get(_key(row), stored)

    def remember(self, row: PredictionRow | Outcome, label: str, ts: int) -> None:
        """Remember a label.

        Parameters
        ----------
        row
            The prediction that it is of.
        label, ts
            Its text and its time.
        """
        self._labels[_key(row)] = (intern(label), ts)

    @property
    def sizes(self) -> tuple[int, int]:
        """Labels of the older and of the younger generation."""
        return len(self._older), len(self._labels)

    def begin(self) -> None:
        """Begin a generation; what is older than the one before is forgotten."""
        self._older, self._labels = self._labels, {}

    def forget(self) -> None:
        """Forget the older generation."""
        self._older = {}


class Join:
    """Joins labels of `feedback` and `feedback-waiting`; `drift.labels.step` makes a step of it.

    Parameters
    ----------
    look_up
        Finds predictions by id.
    catalogue
        Finds the reference over whose score cells labels are summed; an unwatched version has outcomes alone.
    now_ms
        The time now, as producers stamp it.
    prediction_wait_ms_max
        How long a label waits for its prediction before it is a dead letter.
    recent
        What was joined lately, so that a correction finds its elder before the store has it.
    set_aside
        Makes dead letters of what cannot be joined.
    """

    def __init__(
        self,
        look_up: LookUp,
        catalogue: Catalogue,
        now_ms: Callable[[], int],
        prediction_wait_ms_max: int,
        recent: Recent | None = None,
        set_aside: SetAside | None = None,
    ) -> None:
        self._look_up = look_up
        self._catalogue = catalogue
        self._now_ms = now_ms
        self._wait_ms_max = prediction_wait_ms_max
        self._recent = Recent() if recent is None else recent
        self._set_aside = set_aside or SetAside("join")

    def process(self, block: Block) -> Effects:
        """Join each label; what cannot be read, or has waited too long, is a dead letter."""
        return self.process_together([block])[0]

    def process_together(self, blocks: Sequence[Block]) -> list[Effects]:
        """Join the labels of blocks in their order, with one question to the store for all of them."""
        read = [read_labels(block) for block in blocks]
        ids = list(dict.fromkeys(record.id for labels, _ in read for record in labels))
        predictions = self._look_up(ids) if ids else {}
        return [self._joined(block, *its_labels, predictions) for block, its_labels in zip(blocks, read, strict=True)]

    def _joined(
        self, block: Block, labels: list[Said], refused: list[Refusal], predictions: Mapping[str, list[PredictionRow]]
    ) -> Effects:
        publish: list[Publish] = []
        joined: list[tuple[PredictionRow, Outcome]] = []
        faults: list[tuple[PredictionRow, str]] = []
        for label_record in labels:
            rows = _meant(predictions.get(label_record.id, ()), label_record.ts)
            if not rows:
                waiting = self._wait(block, label_record)
                (refused if isinstance(waiting, Refusal) else publish).append(waiting)  # type: ignore[arg-type]
                continue
            usable = [(row, self._usable(row, label_record.label)) for row in rows]
            faults += [(row, label_record.label) for row, label in usable if label is None]
            joined += [
                (row, outcome)
                for row, label in usable
                if label is not None
                for outcome in self._outcomes(row, label, label_record.ts)
            ]
            if all(label is None for _, label in usable):  # One version that can use it is enough for an outcome.
                refused.append(self._unusable(rows[0], label_record))
        outcomes = [Publish("outcomes", msgspec.json.encode(o), key=o.model.encode()) for _, o in joined]
        letters = self._set_aside(block, refused)
        return Effects([*outcomes, *self._sums(block, joined, faults), *publish, *letters])

    def _usable(self, row: PredictionRow, label: str) -> str | None:
        """A label as the prediction's version spells it; None where it names none of its classes, or is no number."""
        reference = self._reference(row.model, row.version)
        return label if reference is None else usable_label(reference, label)

    def _unusable(self, row: PredictionRow, label_record: Said) -> Refusal:
        """Say why a label can be joined with none of its predictions."""
        reference = self._reference(row.model, row.version)
        assert reference is not None, row
        if reference.task == "regression":
            detail = f"the model is a regression, and {label_record.label[:100]!r} is no number"
            return Refusal(label_record.at, "wrong_type", "$.label", detail)
        names = ", ".join(reference.class_reader.names[:10])
        detail = f"{label_record.label[:100]!r} is none of the classes of {row.model} {row.version}: {names}"
        return Refusal(label_record.at, "unknown_class", "$.label", detail)

    def _outcomes(self, row: PredictionRow, label: str, ts: int) -> Iterator[Outcome]:
        """What a label changes: nothing where it is older than the one that holds, or the same."""
        former = self._recent.former(row)
        if former is not None and (ts < former[1] or former == (label, ts)):
            return
        if former is not None:
            yield _outcome(row, *former, sign=-1)
        yield _outcome(row, label, ts)
        self._recent.remember(row, label, ts)

    def _sums(
        self,
        block: Block,
        joined: Iterable[tuple[PredictionRow, Outcome]],
        faults: Iterable[tuple[PredictionRow, str]],
    ) -> Iterator[Publish]:
        groups: dict[_Group, list[Outcome]] = {}
        strange: dict[_Group, list[tuple[str, int]]] = {}
        for row, outcome in joined:
            for segment in ("", *row.segments):
                groups.setdefault(_group(row, segment), []).append(outcome)
        for row, text in faults:
            strange.setdefault(_group(row, ""), []).append((text, 1))
        for group in strange:
            groups.setdefault(group, [])
        sums = self._sums_by_group(groups)
        for group in groups:
            model, version, segment, minute = group
            reference = self._reference(model, version)
            if reference is None:
                continue
            cells = sums[group]
            if not cells.any() and group not in strange:
                continue
            yield publication(
                LabelSums(
                    model=model,
                    version=version,
                    reference=reference.id,
                    segment=segment,
                    minute_ms=minute,
                    cells=cells.astype("<i8").tobytes(),
                    topic=block.topic,
                    partition=block.partition,
                    first=block.first,
                    last=block.last,
                    faults=shortened(strange.get(group, ())),
                )
            )

    def _sums_by_group(self, groups: Mapping[_Group, list[Outcome]]) -> dict[_Group, np.ndarray]:
        """Label sums by group; those of a version in one call, for its labels spread over many minutes."""
        by_version: dict[tuple[str, str, bool], list[_Group]] = {}
        for group, outcomes in groups.items():
            predicted = any(outcome.prediction for outcome in outcomes)  # a watched topic may hold scores alone
            by_version.setdefault((*group[:2], predicted), []).append(group)
        sums: dict[_Group, np.ndarray] = {}
        for (model, version, predicted), version_groups in by_version.items():
            if (reference := self._reference(model, version)) is not None:
                added = _add_up(reference, [groups[group] for group in version_groups], predicted)
                sums.update(zip(version_groups, added, strict=True))
        return sums

    def _wait(self, block: Block, label_record: Said) -> Publish | Refusal:
        """Move a label to those that wait, or give it up."""
        before, arrived_ms, waited_ms = waited(block, label_record.at), block.times[label_record.at], 0
        if before is not None:
            arrived_ms = before.arrived_ms
            waited_ms = before.waited_ms + min(max(0, self._now_ms() - block.times[label_record.at]), ROUND_MS_MAX)
        if waited_ms > self._wait_ms_max:
            detail = f"no prediction with id {label_record.id[:200]!r} came in {self._wait_ms_max} ms"
            return Refusal(label_record.at, "unknown_prediction", "$.id", detail)
        ours = {WAITED: str(waited_ms).encode(), ARRIVED: str(arrived_ms).encode()}
        headers = [(name, value) for name, value in block.headers[label_record.at] or () if name not in ours]
        kept = [*headers, *ours.items()]
        return Publish(
            WAITING, block.values[label_record.at], key=label_record.id.encode(), headers=kept, at=label_record.at
        )

    def _reference(self, model: str, version: str) -> Reference | None:
        """The reference of a version whose labels can be summed."""
        try:
            reference = self._catalogue(model, version)
        except Unwatched:
            return None
        return reference if reference.score is not None and reference.task in _JUDGED else None


def _meant(rows: Iterable[PredictionRow], label_ts: int) -> list[PredictionRow]:
    """Of each model version the latest prediction before the label; the first where clocks say that all came after."""
    meant: dict[tuple[str, str], PredictionRow] = {}
    for row in sorted(rows, key=lambda row: (row.model, row.version, row.ts)):
        if row.ts <= label_ts:
            meant[row.model, row.version] = row
        else:
            meant.setdefault((row.model, row.version), row)
    return list(meant.values())


def _outcome(row: PredictionRow, label: str, label_ts: int, sign: int = 1) -> Outcome:
    return Outcome(
        id=row.id,
        model=row.model,
        version=row.version,
        segment=row.segments[0] if row.segments else "",
        ts=row.ts,
        score=row.score,
        prediction=row.prediction,
        label=label,
        label_ts=label_ts,
        sign=1 if sign > 0 else -1,
    )


def _add_up(reference: Reference, groups: Sequence[list[Outcome]], predicted: bool) -> np.ndarray:
    """Label sums of groups of outcomes of one version, int64 [groups, score cells, 4]."""
    outcomes = [outcome for group in groups for outcome in group]
    return label_sums_of_groups(
        reference,
        np.array([outcome.score for outcome in outcomes]),
        [outcome.prediction for outcome in outcomes] if predicted else None,
        [outcome.label for outcome in outcomes],
        np.array([outcome.sign for outcome in outcomes]),
        np.repeat(np.arange(len(groups)), [len(group) for group in groups]),
        len(groups),
    )


def _group(row: PredictionRow, segment: str) -> _Group:
    """Whose label sums a prediction belongs to: model, version, segment, and its minute in ms."""
    return row.model, row.version, segment, row.ts // MINUTE_MS * MINUTE_MS


def _key(row: PredictionRow | Outcome) -> _Key:
    return row.id, intern(row.model), intern(row.version), row.ts  # a text once, not once a label
