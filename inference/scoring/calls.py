"""Calls of models: a version's rows of a micro-batch, with what they led to, and what is written down meanwhile."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec
import numpy as np

from inference.backends import Unavailable
from inference.scoring.facts import ProcessesEnded, RowsByFallback, RowsScored, ShadowFailed, VersionFailed
from inference.scoring.fallback import apart_as_recorded, as_fallback
from inference.scoring.figures import CallFigures
from inference.scoring.in_hand import ENDS_MAX, PARTS, InHand, Range
from inference.scoring.messages import passed, predictions, scored_runs
from inference.scoring.observations import observations
from inference.scoring.outcome import Outcome, Part
from inference.serving.scorer import Scorer, Scores
from inference.serving.standby import Standby
from streams.clock import ticks_ms
from streams.wire.block import Block
from streams.wire.refusals import Refusal
from streams.wire.rows import Rows


class Recorded(Protocol):
    """Tells at which batch shape a version scored some rows: int32 [rows], 0 where that is not known."""

    def __call__(self, model: str, version: str, block: Block, rows: Rows) -> np.ndarray: ...


class Call(msgspec.Struct, frozen=True):
    """One version, its rows of a micro-batch, and who scores them while it is away."""

    model: str
    scorer: Scorer
    parts: list[Part]
    standby: Standby | None = None

    @property
    def version(self) -> str:
        """Which version."""
        return self.scorer.package.version

    @property
    def rows(self) -> int:
        """How many rows."""
        return sum(len(part.rows) for part in self.parts)


class Called(msgspec.Struct, frozen=True):
    """A call that was made: scores of all its parts' rows, and when they were ready, ms UTC where there is a clock."""

    call: Call
    scores: Scores
    now_ms: int | None


class ModelCalls:
    """Calls models, one after the other.

    Parameters
    ----------
    in_hand
        Remembers over the process's end what a model has in hand.
    clock
        Wall clock in ms for when scores were ready; None where nobody asks.
    ticks
        Monotonic time in ms for metrics, and for nothing else.
    recorded
        At which batch shape rows were scored the first time, for a replay.

    Attributes
    ----------
    answering
        What scores for those who answer at the moment; None while nothing does. Read from other threads.
    figures
        Of the calls of the last seconds.
    """

    def __init__(
        self,
        in_hand: InHand | None = None,
        clock: Callable[[], int] | None = None,
        ticks: Callable[[], float] = ticks_ms,
        recorded: Recorded | None = None,
    ) -> None:
        self.answering: Scorer | None = None
        self._in_hand = in_hand or InHand()
        self._clock, self._ticks = clock, ticks
        self._recorded = recorded
        self.figures = CallFigures(ticks)
        self._row_ms: dict[tuple[str, str], float] = {}

    def estimated_ms(self, calls: Sequence[Call]) -> float:
        """How long some calls will take, by how long the last ones took; 0 of a version that was not called yet."""
        return sum(call.rows * self._row_ms.get((call.model, call.version), 0.0) for call in calls)

    def make(self, call: Call, outcomes: Sequence[Outcome]) -> Iterator[Called]:
        """Make a call; after an end over this version, in smaller ones.

        Parameters
        ----------
        call
            Who scores what.
        outcomes
            Of the micro-batch's blocks: records that are known to end processes are refused.

        Raises
        ------
        ModelBroken, Unavailable, Fatal
            See `inference.serving.scorer.Scorer`; a shadow's failure is no one's.
        """
        several = [call]
        if self._in_hand.suspects(call.model, call.version):
            several = [msgspec.structs.replace(call, parts=parts) for parts in self._split(call, outcomes)]
        for each in several:
            if each.standby is not None:
                yield from self._with_standby(each, each.standby, outcomes)
            elif (called := self._score(each, outcomes)) is not None:
                yield called

    def _with_standby(self, call: Call, standby: Standby, outcomes: Sequence[Outcome]) -> Iterator[Called]:
        """Score rows, or have them scored by who stands by while their version is away."""
        if self._recorded is not None:
            yield from self._as_recorded(call, standby, outcomes)
            return
        try:
            called = self._score(call, outcomes)
        except Unavailable as error:
            if not standby.answers_now(error):
                raise
        else:
            standby.version_answers()
            if called is not None:
                yield called
            return
        yield from self.make(Call(call.model, standby.scorer, as_fallback(call.parts, standby)), outcomes)
        RowsByFallback(call.model, call.version, standby.scorer.package.version, call.rows).tell()

    def _as_recorded(self, call: Call, standby: Standby, outcomes: Sequence[Outcome]) -> Iterator[Called]:
        """Score rows by who scored them then: that a version is away now says nothing of it."""

        def shapes_then(version: str, part: Part) -> np.ndarray:
            assert self._recorded is not None
            return self._recorded(call.model, version, outcomes[part.block].block, part.rows)

        by_version, by_fallback = apart_as_recorded(call.parts, standby, call.version, shapes_then)
        if by_version:
            yield from self.make(Call(call.model, call.scorer, by_version), outcomes)
        if by_fallback:
            yield from self.make(Call(call.model, standby.scorer, as_fallback(by_fallback, standby)), outcomes)

    def _split(self, call: Call, outcomes: Sequence[Outcome]) -> list[list[Part]]:
        """Take what a predecessor ended over apart from the rest, and in smaller parts; refuse what is known to end
        processes.
        """
        calm: list[Part] = []
        suspect: list[Part] = []
        for part in call.parts:
            block, records = outcomes[part.block].block, np.unique(part.rows.at).tolist()
            self._in_hand.forget_before(block.topic, block.partition, block.first)
            doubtful = [at for at in records if self._in_hand.suspect(block.topic, block.partition, block.offsets[at])]
            ends = {at: self._ends(call, block, at) for at in records}
            guilty = [at for at, often in ends.items() if often >= ENDS_MAX]
            for at in guilty:
                _blame(outcomes[part.block], call, part, at, ends[at])
            left = np.flatnonzero(~np.isin(part.rows.at, [*doubtful, *guilty]))
            if len(left):
                calm.append(part.pick(left))
            suspect += [part.pick(np.flatnonzero(part.rows.at == at)) for at in doubtful if at not in guilty]
        size = max(1, -(-len(suspect) // PARTS))
        return [calm] * bool(calm) + [suspect[first : first + size] for first in range(0, len(suspect), size)]

    def _ends(self, call: Call, block: Block, at: int) -> int:
        return self._in_hand.ends(call.model, call.version, block.place(at), block.times[at])

    def _score(self, call: Call, outcomes: Sequence[Outcome]) -> Called | None:
        model, version, role, started_ms = call.model, call.version, call.parts[0].role, self._ticks()
        try:
            with self._in_hand.holding(model, version, _ranges(call.parts, outcomes)):
                matrix = np.concatenate([part.rows.matrix for part in call.parts])
                self.answering = None if role == "shadow" else call.scorer
                scores = call.scorer(matrix, buckets=self._shapes_then(call, outcomes))
        except Exception as error:
            if role != "shadow":
                VersionFailed.by(error, model, version).tell()
                raise
            ShadowFailed(model, version, str(error)).tell()  # it must not hold up those who answer
            return None
        finally:
            self.answering = None
        took_ms, rows, failed = self._ticks() - started_ms, len(scores.values), len(scores.failures)
        self._row_ms[model, version] = took_ms / max(1, rows)
        RowsScored(model, version, role, rows, failed, scores.padding, took_ms).tell()
        self.figures.add((model, version, role), rows=rows, failed=failed, padding=scores.padding, took_ms=took_ms)
        return Called(call, scores, self._clock() if self._clock else None)

    def _shapes_then(self, call: Call, outcomes: Sequence[Outcome]) -> np.ndarray | None:
        if self._recorded is None:
            return None
        recorded = self._recorded
        return np.concatenate(
            [recorded(call.model, call.version, outcomes[part.block].block, part.rows) for part in call.parts]
        )


def give_back(called: Called, outcomes: Sequence[Outcome]) -> None:
    """Give each block what a version's scores say of its rows.

    Parameters
    ----------
    called
        The call that was made.
    outcomes
        Of the micro-batch's blocks.
    """
    first = 0
    for part in called.call.parts:
        scores = called.scores[first : first + len(part.rows)]
        first += len(part.rows)
        _give_back(called, part, scores, outcomes[part.block])


def _give_back(called: Called, part: Part, scores: Scores, outcome: Outcome) -> None:
    model, package, rows = called.call.model, called.call.scorer.package, part.rows
    for n, failure in scores.failures.items() if part.role != "shadow" else ():
        at, row = int(rows.at[n]), int(rows.row[n])
        field = f"$[{row}]" if rows.row.any() else "$"  # which row of a message of many
        refusal = Refusal(at, "model_failed", field, failure.why, model, int(rows.ts[n]))
        outcome.refuse(refusal, failure.attempts)
        outcome.tell(model, package.version, refusal, ())
    rows, scores = passed(rows, scores)
    if not len(rows):
        return
    refused = outcome.refused_for(model, package.version)
    for scored in scored_runs(package, part.role, rows, scores, refused):
        outcome.observed += observations(scored, outcome.block)
        if part.role != "shadow":
            outcome.answered.append((scored.rows, predictions(scored, outcome.block, called.now_ms)))


def _blame(outcome: Outcome, call: Call, part: Part, at: int, often: int) -> None:
    why = f"{often} processes ended while {call.model} {call.version} had this record, and no other, in hand"
    ProcessesEnded(call.model, call.version, outcome.block.place(at), why).tell()
    if part.role != "shadow":
        ts = int(part.rows.ts[np.flatnonzero(part.rows.at == at)[0]])
        refusal = Refusal(at, "model_failed", "$", why, call.model, ts)
        outcome.refuse(refusal, often)
        outcome.tell(call.model, call.version, refusal, ())


def _ranges(parts: list[Part], outcomes: Sequence[Outcome]) -> list[Range]:
    """Where the records of some parts lie."""
    ranges: list[Range] = []
    for part in parts:
        block, first, last = outcomes[part.block].block, int(part.rows.at.min()), int(part.rows.at.max())
        ranges.append((block.topic, block.partition, block.offsets[first], block.offsets[last], block.times[first]))
    return ranges
