"""The score step: requests in; predictions, observations and dead letters out. It keeps no state.

Rows of all blocks that wait meet each model version in one go, whatever their partition, and every block then gets
back what is its own. Champion and canaries answer; shadows are only observed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Protocol

import msgspec
import numpy as np

from inference.packages.model_toml import nearest
from inference.scoring.facts import ProcessesEnded, RowsScored, ShadowFailed, VersionFailed
from inference.scoring.in_hand import ENDS_MAX, PARTS, InHand, Range
from inference.scoring.messages import observations, passed, predictions, refused_request, scored_runs, unanswered
from inference.scoring.shadows import Shadows, ShadowTask
from inference.serving.models import NotServed, Served, Serving
from inference.serving.routing import Role, VersionRows, by_version
from inference.serving.scorer import Scorer, Scores
from streams.clock import ticks_ms
from streams.formats.decoder import Decoder
from streams.formats.envelope import Schemas
from streams.runtime.stage import Step
from streams.wire.block import Block
from streams.wire.dead_letters import dead_letter, further
from streams.wire.effects import Effects, Publish, with_more
from streams.wire.observation import RefusedRequest
from streams.wire.refusals import Refusal, Refused
from streams.wire.rows import Rows
from streams.wire.schema import FeatureSchema

STAGE = "score"
#: How long requests of a micro-batch wait for their model to be loaded; then they are read again.
_LOADING_S_MAX = 2.0


class Decode(Protocol):
    """Reads a block: rows by model, and the refused records and rows."""

    def __call__(self, block: Block) -> tuple[dict[str, Rows], list[Refusal]]: ...

    def requests(self, block: Block) -> Sequence[int] | None:
        """How many requests each record says that it holds; None where each holds one."""
        ...


class Recorded(Protocol):
    """Tells at which batch shape a version scored some rows: int32 [rows], 0 where that is not known."""

    def __call__(self, model: str, version: str, block: Block, rows: Rows) -> np.ndarray: ...


class _Part(msgspec.Struct):
    """Rows of one block that one version scores, as that version sees them."""

    block: int
    role: Role
    rows: Rows


class _Outcome:
    """What one block has led to so far. Predictions keep their place, because canaries come after the champion."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.answered: list[tuple[Rows, list[Publish]]] = []
        self.observed: list[Publish] = []
        self.refused: dict[int, list[Publish]] = {}
        self._untold: dict[tuple[str, str], list[RefusedRequest]] = {}

    def refuse(self, refusal: Refusal, attempts: int = 1) -> None:
        letter = dead_letter(self.block, refusal, STAGE, attempts)
        first = self.refused.setdefault(refusal.at, [])
        first.append(further(letter, first[0]) if first else letter)

    def tell(self, model: str, version: str, refusal: Refusal, columns: Sequence[str]) -> None:
        """Let those who watch a version know of a request that it would have answered."""
        self._untold.setdefault((model, version), []).append(refused_request(self.block, refusal, columns))

    def refused_for(self, model: str, version: str) -> list[RefusedRequest]:
        """What a version's observations have to tell beside its rows."""
        return self._untold.pop((model, version), [])

    def effects(self) -> Effects:
        alone = [unanswered(*whose, refused, self.block) for whose, refused in self._untold.items()]
        return Effects([*self._in_order(), *self.observed, *chain(*alone), *chain(*self.refused.values())])

    def _in_order(self) -> list[Publish]:
        begins = [(int(rows.at[0]), int(rows.row[0])) for rows, _ in self.answered]
        ends = [(int(rows.at[-1]), int(rows.row[-1])) for rows, _ in self.answered]
        if all(end < begin for end, begin in zip(ends, begins[1:], strict=False)):  # as where one version answers
            return [message for _, messages in self.answered for message in messages]
        placed = [
            (at, row, message)
            for rows, messages in self.answered
            for at, row, message in zip(rows.at.tolist(), rows.row.tolist(), messages, strict=True)
        ]
        return [message for _, _, message in sorted(placed, key=lambda entry: entry[:2])]


class _Schemas:
    """What decoders ask: the schema of a model by one picture of what serves, and why there is none.

    ``absent`` are the models that were asked for in vain since the last `look`.
    """

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._models: Mapping[str, Served] = {}
        self._missing: Mapping[str, NotServed] = {}
        self.absent: set[str] = set()

    def look(self) -> Mapping[str, Served]:
        """Take a new picture of what serves."""
        self.absent = set()
        self._missing = self._serving.missing()
        self._models = self._serving.models()
        return self._models

    def outdated(self) -> bool:
        """Whether a new picture would show something else."""
        return self._models is not self._serving.models() or self._missing is not self._serving.missing()

    def __call__(self, model: str | None, /) -> tuple[str, FeatureSchema] | None:
        """Find a model's schema; without a name, that of the only one that has a route, loaded or not."""
        models = self._models or self._serving.models()
        routed = {*models, *self._missing}
        if model is None and len(routed) == 1:
            (model,) = routed
        served = models.get(model) if model is not None else None
        return None if served is None or model is None else (model, served.schema)

    def why_absent(self, model: str | None) -> Refused:
        """Say why a request has no model."""
        if model is None and (names := ", ".join(sorted({*self._models, *self._missing}))):
            several = f"no model is named, and several serve: put one of {names} into the field or the header 'model'"
            return Refused("unknown_model", "$.model", several)
        if model is None:
            return Refused("unknown_model", "$.model", "no model is named, and none serves")
        self.absent.add(model)
        if missing := self._missing.get(model):
            return Refused("model_not_loaded", "$.model", str(missing))
        near = nearest(model, tuple(sorted(self._models))) if self._models else ""
        return Refused("unknown_model", "$.model", f"no route for {model!r}{near}")


class Score(Step):
    """Decodes blocks, scores their rows, gives each block its effects.

    Parameters
    ----------
    serving
        What serves; a route that it follows meanwhile holds from the next micro-batch on.
    decoder
        Makes what reads a block, given what finds a model's schema.
    clock
        Wall clock in ms for the header ``latency_ms``, and for nothing else; without one there is no such header.
    catch_up
        Follows every route that was announced until now. Called before a request is refused because its model is
        unknown: so no request is that was sent after its model's route had been announced.
    in_hand
        Remembers over the process's end what a model has in hand; without it a record that ends the process ends the
        next one too.
    ticks
        Monotonic time in ms for metrics, and for nothing else.
    recorded
        At which batch shape rows were scored the first time, for a replay; a shadow then scores what it scored then.
    shadows
        Scores the rows of shadows once the requests are committed; without it they are scored with the others.

    Attributes
    ----------
    answering
        What scores for those who answer at the moment; None while nothing does. Read from other threads.
    """

    def __init__(
        self,
        serving: Serving,
        decoder: Callable[[Schemas], Decode] = Decoder,
        clock: Callable[[], int] | None = None,
        catch_up: Callable[[], object] | None = None,
        in_hand: InHand | None = None,
        ticks: Callable[[], float] = ticks_ms,
        recorded: Recorded | None = None,
        shadows: Shadows | None = None,
    ) -> None:
        self._ticks = ticks
        self._shadows = shadows
        self._recorded = recorded
        self._serving = serving
        self._in_hand = in_hand or InHand()
        self._schemas = _Schemas(serving)
        self._decode = decoder(self._schemas)
        self._clock = clock
        self._catch_up = catch_up
        self._models: Mapping[str, Served] = {}
        self.answering: Scorer | None = None

    def weigh(self, block: Block) -> Sequence[int] | None:
        """How many answers each record asks for; None where each asks for one. May be called from any thread."""
        return self._decode.requests(block)

    def process(self, blocks: Sequence[Block]) -> Sequence[Effects]:
        """Answer every record of the blocks exactly once: a prediction a row, or a dead letter.

        Raises
        ------
        ModelBroken, NotLoadedYet
            An answering version fails on everything, or is still being loaded; nobody is blamed, the same blocks
            should come again.
        """
        outcomes = [_Outcome(block) for block in blocks]
        by_shadow: list[ShadowTask] = []
        for (model, version), parts in self._by_version(outcomes).items():
            scorer = self._models[model].scorers[version]
            if self._shadows is not None and parts[0].role == "shadow":
                by_shadow.append(ShadowTask(scorer, [(blocks[part.block], part.rows) for part in parts]))
            else:
                self._pass(model, scorer, parts, outcomes)
        effects = [outcome.effects() for outcome in outcomes]
        if self._shadows is not None:
            self._shadows.hand_over(blocks, by_shadow)
            if effects:  # else they leave with a silence
                effects[0] = with_more(effects[0], self._shadows.results())
        return effects

    def _by_version(self, outcomes: list[_Outcome]) -> dict[tuple[str, str], list[_Part]]:
        """Decode all blocks, and gather the rows of each model's versions."""
        parts: dict[tuple[str, str], list[_Part]] = {}
        decoded_blocks = self._decoded([outcome.block for outcome in outcomes])
        for n, (outcome, (decoded, refusals)) in enumerate(zip(outcomes, decoded_blocks, strict=True)):
            for refusal in refusals:
                outcome.refuse(refusal)
                self._tell(outcome, refusal)
            for model, rows in decoded.items():
                for chosen in by_version(self._models[model].route, rows.ids):
                    given = self._given(outcome, model, chosen, rows)
                    if len(given):
                        parts.setdefault((model, chosen.version), []).append(_Part(n, chosen.role, given))
        return parts

    def _given(self, outcome: _Outcome, model: str, chosen: VersionRows, rows: Rows) -> Rows:
        """The rows that one version scores, as that version sees them."""
        served, given = self._models[model], rows.pick(chosen.rows)
        if chosen.role != "shadow":
            given = self._with_required(outcome, served, chosen.version, given)
        elif self._recorded is not None:  # a shadow may have left some out
            given = given.pick(np.flatnonzero(self._recorded(model, chosen.version, outcome.block, given)))
        return served.views[chosen.version](given) if len(given) else given

    def committed(self, blocks: Sequence[Block]) -> None:
        """Let shadows score the requests that have been answered."""
        if self._shadows is not None:
            self._shadows.committed(blocks)

    def dropped(self, blocks: Sequence[Block]) -> None:
        """Forget what shadows would have scored: the requests come again."""
        if self._shadows is not None:
            self._shadows.dropped(blocks)

    def idle(self, topic: str, partition: int) -> Effects:  # noqa: ARG002
        """Publish what shadows have said meanwhile, where no request comes that it could leave with."""
        return Effects() if self._shadows is None else Effects(self._shadows.results())

    def asleep(self, topic: str, partition: int) -> Effects:
        """As `idle`."""
        return self.idle(topic, partition)

    def _decoded(self, blocks: Sequence[Block]) -> list[tuple[dict[str, Rows], list[Refusal]]]:
        """Decode all blocks by one picture of what serves: the newest, where they name models that it lacks."""
        self._models = self._schemas.look()
        decoded = [self._decode(block) for block in blocks]
        if not self._schemas.absent or self._catch_up is None:
            return decoded
        self._catch_up()
        for model in self._schemas.absent:
            self._serving.wait_while_loading(model, _LOADING_S_MAX)
        if not self._schemas.outdated():
            return decoded
        self._models = self._schemas.look()
        return [self._decode(block) for block in blocks]

    def _with_required(self, outcome: _Outcome, served: Served, version: str, rows: Rows) -> Rows:
        """Refuse rows that lack what the version that answers them requires and the others do not; returns the rest."""
        lacking = dict(served.views[version].lacking(rows))
        if not lacking:
            return rows
        model = served.route.model
        for n, name in lacking.items():
            at, row = int(rows.at[n]), int(rows.row[n])
            field = f"$[{row}].{name}" if rows.row.any() else f"$.{name}"
            detail = f"{model} {version}, which answers this request, requires {name!r}"
            refusal = Refusal(at, "missing_field", field, detail, model, int(rows.ts[n]))
            outcome.refuse(refusal)
            outcome.tell(model, version, refusal, served.schema.names)
        return rows.pick(np.delete(np.arange(len(rows)), list(lacking)))

    def _tell(self, outcome: _Outcome, refusal: Refusal) -> None:
        """Tell of a request that nobody could read, where it is known whose it was."""
        nobodys = refusal.reason in ("unknown_model", "model_not_loaded")
        model_schema = None if nobodys else self._schemas(refusal.model or None)
        if model_schema is not None:
            model, schema = model_schema
            (part, *_) = by_version(self._models[model].route, [outcome.block.place(refusal.at)])
            outcome.tell(model, part.version, refusal, schema.names)

    def _pass(self, model: str, scorer: Scorer, parts: list[_Part], outcomes: list[_Outcome]) -> None:
        """Score the gathered rows of one version and give each block what is its own."""
        if self._in_hand.suspects(model, scorer.package.version):
            for some in self._split(model, scorer, parts, outcomes):
                self._score(model, scorer, some, outcomes)
        else:
            self._score(model, scorer, parts, outcomes)

    def _split(self, model: str, scorer: Scorer, parts: list[_Part], outcomes: list[_Outcome]) -> Iterator[list[_Part]]:
        """Take what a predecessor ended over apart from the rest, and in smaller parts; refuse what is known to end
        processes.
        """
        version = scorer.package.version
        calm: list[_Part] = []
        suspect: list[_Part] = []
        for part in parts:
            block, records = outcomes[part.block].block, np.unique(part.rows.at).tolist()
            self._in_hand.forget_before(block.topic, block.partition, block.first)
            doubtful = [at for at in records if self._in_hand.suspect(block.topic, block.partition, block.offsets[at])]
            ends = {at: self._in_hand.ends(model, version, block.place(at), block.times[at]) for at in records}
            guilty = [at for at, often in ends.items() if often >= ENDS_MAX]
            for at in guilty:
                self._blame(outcomes[part.block], model, scorer, part, at, ends[at])
            left = part.rows.pick(np.flatnonzero(~np.isin(part.rows.at, [*doubtful, *guilty])))
            if len(left):
                calm.append(_Part(part.block, part.role, left))
            suspect += [
                _Part(part.block, part.role, part.rows.pick(np.flatnonzero(part.rows.at == at)))
                for at in doubtful
                if at not in guilty
            ]
        if calm:
            yield calm
        size = max(1, -(-len(suspect) // PARTS))
        for first in range(0, len(suspect), size):
            yield suspect[first : first + size]

    def _blame(self, outcome: _Outcome, model: str, scorer: Scorer, part: _Part, at: int, often: int) -> None:
        version = scorer.package.version
        why = f"{often} processes ended while {model} {version} had this record, and no other, in hand"
        ProcessesEnded(model, version, outcome.block.place(at), why).tell()
        if part.role != "shadow":
            ts = int(part.rows.ts[np.flatnonzero(part.rows.at == at)[0]])
            refusal = Refusal(at, "model_failed", "$", why, model, ts)
            outcome.refuse(refusal, often)
            outcome.tell(model, version, refusal, ())

    def _shapes_then(self, model: str, version: str, parts: list[_Part], outcomes: list[_Outcome]) -> np.ndarray | None:
        if self._recorded is None:
            return None
        recorded = self._recorded
        return np.concatenate([recorded(model, version, outcomes[part.block].block, part.rows) for part in parts])

    def _score(self, model: str, scorer: Scorer, parts: list[_Part], outcomes: list[_Outcome]) -> None:
        version, role, started_ms = scorer.package.version, parts[0].role, self._ticks()
        try:
            with self._in_hand.holding(model, version, _ranges(parts, outcomes)):
                matrix = np.concatenate([part.rows.matrix for part in parts])
                self.answering = None if role == "shadow" else scorer
                scores = scorer(matrix, buckets=self._shapes_then(model, version, parts, outcomes))
        except Exception as error:
            if role != "shadow":
                VersionFailed.by(error, model, version).tell()
                raise
            ShadowFailed(model, version, str(error)).tell()  # it must not hold up those who answer
            return
        finally:
            self.answering = None
        took_ms, rows, failed = self._ticks() - started_ms, len(scores.values), len(scores.failures)
        RowsScored(model, version, role, rows, failed, scores.padding, took_ms).tell()
        now_ms = self._clock() if self._clock else None
        first = 0
        for part in parts:
            part_scores = scores[first : first + len(part.rows)]
            first += len(part.rows)
            _give_back(model, scorer, part, part_scores, outcomes[part.block], now_ms)


def _ranges(parts: list[_Part], outcomes: list[_Outcome]) -> list[Range]:
    """Where the records of some parts lie."""
    ranges: list[Range] = []
    for part in parts:
        block, first, last = outcomes[part.block].block, int(part.rows.at.min()), int(part.rows.at.max())
        ranges.append((block.topic, block.partition, block.offsets[first], block.offsets[last], block.times[first]))
    return ranges


def _give_back(model: str, scorer: Scorer, part: _Part, scores: Scores, outcome: _Outcome, now_ms: int | None) -> None:
    rows = part.rows
    for n, failure in scores.failures.items() if part.role != "shadow" else ():
        at, row = int(rows.at[n]), int(rows.row[n])
        field = f"$[{row}]" if rows.row.any() else "$"  # which row of a message of many
        refusal = Refusal(at, "model_failed", field, failure.why, model, int(rows.ts[n]))
        outcome.refuse(refusal, failure.attempts)
        outcome.tell(model, scorer.package.version, refusal, ())
    rows, scores = passed(rows, scores)
    if not len(rows):
        return
    refused = outcome.refused_for(model, scorer.package.version)
    for scored in scored_runs(scorer.package, part.role, rows, scores, refused):
        outcome.observed += observations(scored, outcome.block)
        if part.role != "shadow":
            outcome.answered.append((scored.rows, predictions(scored, outcome.block, now_ms)))
