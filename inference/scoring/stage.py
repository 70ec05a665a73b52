"""The score step: requests in; predictions, observations and dead letters out. It keeps no state.

Rows of all blocks that wait meet each model version in one go, whatever their partition, and every block then gets
back what is its own. Champion and canaries answer; shadows are only observed.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from inference.scoring.calls import Call, ModelCalls, Recorded
from inference.scoring.in_hand import InHand
from inference.scoring.outcome import Outcome, Part
from inference.scoring.schemas import ServedSchemas
from inference.scoring.shadows import Shadows, ShadowTask
from inference.scoring.work import ScoreWork
from inference.serving.models import Served, Serving
from inference.serving.routing import VersionRows, by_version
from inference.serving.scorer import Scorer
from streams.clock import ticks_ms
from streams.formats.decoder import Decoder
from streams.formats.envelope import Schemas
from streams.runtime.stage import OVERLAP_FROM_MS, Step, Work
from streams.wire.block import Block
from streams.wire.effects import Effects
from streams.wire.refusals import Refusal
from streams.wire.rows import Rows

#: How long requests of a micro-batch wait for their model to be loaded; then they are read again.
_LOADING_S_MAX = 2.0


class Decode(Protocol):
    """Reads a block: rows by model, and the refused records and rows."""

    def __call__(self, block: Block) -> tuple[dict[str, Rows], list[Refusal]]: ...

    def requests(self, block: Block) -> Sequence[int] | None:
        """How many requests each record says that it holds; None where each holds one."""
        ...


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
    overlaps
        Leave slow models to others (`streams.runtime.stage.Work`); else `process` returns effects.
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
        overlaps: bool = False,
    ) -> None:
        self._calls = ModelCalls(in_hand, clock, ticks, recorded)
        self._shadows = shadows
        self._recorded = recorded
        self._overlaps = overlaps
        self._unfinished: dict[int, Work] = {}
        self._serving = serving
        self._schemas = ServedSchemas(serving)
        self._decode = decoder(self._schemas)
        self._catch_up = catch_up
        self._models: Mapping[str, Served] = {}

    @property
    def answering(self) -> Scorer | None:
        """What scores for those who answer at the moment; None while nothing does. May be asked from any thread."""
        return self._calls.answering

    def figures(self) -> list[dict[str, Any]]:
        """What each version did of late; see `CallFigures.status`. May be asked from any thread."""
        return self._calls.figures.status()

    def weigh(self, block: Block) -> Sequence[int] | None:
        """How many answers each record asks for; None where each asks for one. May be called from any thread."""
        return self._decode.requests(block)

    def process(self, blocks: Sequence[Block]) -> Sequence[Effects] | Work:
        """Answer every record of the blocks exactly once: a prediction a row, or a dead letter.

        Raises
        ------
        ModelBroken, NotLoadedYet
            An answering version fails on everything, or is still being loaded; nobody is blamed, the same blocks
            should come again.
        """
        work = self._work(blocks)
        # One that computes at once would compute beside one that was left to another thread: what is in hand is one
        # micro-batch's, and so is who answers at the moment.
        if self._overlaps and (work.estimated_ms > OVERLAP_FROM_MS or self._unfinished):
            self._unfinished[id(blocks)] = work
            return work
        return self._done(work)

    def effects(self, blocks: Sequence[Block]) -> Sequence[Effects]:
        """As `process`, all of it at once: for a replay."""
        return self._done(self._work(blocks))

    def _work(self, blocks: Sequence[Block]) -> ScoreWork:
        outcomes = [Outcome(block) for block in blocks]
        to_make: list[Call] = []
        by_shadow: list[ShadowTask] = []
        for (model, version), parts in self._by_version(outcomes).items():
            scorer = self._models[model].scorers[version]
            if self._shadows is not None and parts[0].role == "shadow":
                by_shadow.append(ShadowTask(scorer, [(blocks[part.block], part.rows) for part in parts]))
            else:
                to_make.append(Call(model, scorer, parts, self._models[model].standbys.get(version)))
        if self._shadows is not None:
            self._shadows.hand_over(blocks, by_shadow)
        forget = partial(self._unfinished.pop, id(blocks), None)
        return ScoreWork(self._calls, to_make, blocks, outcomes, self._shadows, forget)

    def _done(self, work: ScoreWork) -> Sequence[Effects]:
        work.compute()
        return work.finish()

    def _by_version(self, outcomes: list[Outcome]) -> dict[tuple[str, str], list[Part]]:
        """Decode all blocks, and gather the rows of each model's versions."""
        parts: dict[tuple[str, str], list[Part]] = {}
        decoded_blocks = self._decoded([outcome.block for outcome in outcomes])
        for n, (outcome, (decoded, refusals)) in enumerate(zip(outcomes, decoded_blocks, strict=True)):
            for refusal in refusals:
                outcome.refuse(refusal)
                self._tell(outcome, refusal)
            for model, rows in decoded.items():
                for chosen in by_version(self._models[model].route, rows.ids):
                    given = self._given(outcome, model, chosen, rows)
                    if len(given):
                        seen = self._models[model].views[chosen.version](given)
                        parts.setdefault((model, chosen.version), []).append(Part(n, chosen.role, seen, given))
        return parts

    def _given(self, outcome: Outcome, model: str, chosen: VersionRows, rows: Rows) -> Rows:
        """The rows that one version scores."""
        served, given = self._models[model], rows.pick(chosen.rows)
        if chosen.role != "shadow":
            given = self._with_required(outcome, served, chosen.version, given)
        elif self._recorded is not None:  # a shadow may have left some out
            given = given.pick(np.flatnonzero(self._recorded(model, chosen.version, outcome.block, given)))
        return given

    def committed(self, blocks: Sequence[Block]) -> None:
        """Let shadows score the requests that have been answered."""
        if self._shadows is not None:
            self._shadows.committed(blocks)

    def dropped(self, blocks: Sequence[Block]) -> None:
        """Forget a micro-batch, and what shadows would have scored: the requests come again."""
        self._unfinished.pop(id(blocks), None)
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

    def _with_required(self, outcome: Outcome, served: Served, version: str, rows: Rows) -> Rows:
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

    def _tell(self, outcome: Outcome, refusal: Refusal) -> None:
        """Tell of a request that nobody could read, where it is known whose it was."""
        nobodys = refusal.reason in ("unknown_model", "model_not_loaded")
        model_schema = None if nobodys else self._schemas(refusal.model or None)
        if model_schema is not None:
            model, schema = model_schema
            (part, *_) = by_version(self._models[model].route, [outcome.block.place(refusal.at)])
            outcome.tell(model, part.version, refusal, schema.names)
