"""Requests scored again: the live score stage, under the routes that were decided then, or under another's."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import msgspec

from driftline.replay.routes_then import Routes, announced, decide, first_routes
from driftline.replay.served import Observed, Place, answered, live_blocks
from driftline.replay.shapes import BatchShapes
from inference import Score, Scorer, Serving
from streams.kafka.stretch import recut
from streams.wire.block import Block
from streams.wire.records import Route

#: Records that meet the models in one go.
_ROWS_AT_ONCE = 20_000


class Again(msgspec.Struct, frozen=True):
    """What some blocks led to when scored again: observations as messages, and predictions by place.

    A request that has none is a dead letter. ``times`` are the first and last of the requests' Kafka times.
    """

    offsets: list[int]
    times: tuple[int, int]
    observations: list[tuple[Observed, bytes]]
    predictions: dict[Place, bytes]


class Scoring:
    """Scores blocks of requests again.

    Parameters
    ----------
    load
        Loads a version of a model, as `Registry.load` does; the same one each time.
    history
        Every route that was announced, in order.
    instead
        Versions that answer everything of their models, whatever the routes say.
    answered
        Models that answered or were observed in the stretch: all others may be at fault now, as they were then.
    """

    def __init__(
        self,
        load: Callable[[str, str], Scorer],
        history: Sequence[Route],
        instead: Mapping[str, str],
        answered: Collection[str] = (),
    ) -> None:
        self._answered = frozenset(answered)
        self._load = load
        self._history = [_instead(route, instead) for route in history]
        self._instead = frozenset(instead)
        self._recorded = history
        self._steps: dict[tuple[tuple[str, int], ...], Score] = {}
        self._shapes = BatchShapes()
        self._first = first_routes(history)

    def again(self, blocks: Iterable[Block], served: Sequence[Observed]) -> Iterator[Again]:
        """Score blocks of requests again, cut as they were when the observations ``served`` were made of them."""
        self._shapes.read(served)
        live = live_blocks(served)
        routes = decide(self._recorded, live) or decide(self._recorded, [[]])
        cuts = [block[0].head.first for block in live]
        parts = (part for block in recut(blocks, cuts[1:]) for part in self._of_one_time(block))
        for step, gathered in _gather(parts, cuts, lambda at, block: self._step(routes[at], block)):
            yield _process(step, gathered)

    def _of_one_time(self, block: Block) -> Iterator[Block]:
        """Parts of a block, cut where another model was announced: requests that were all refused are in no
        observation, so nothing else parts them from those before.
        """
        began = 0
        for at, (before, now) in enumerate(pairwise(block.times), start=1):
            if any(before < ts <= now for ts in self._first.values()):
                yield block[began:at]
                began = at
        yield block[began:] if began else block

    def _step(self, routes: Routes, block: Block) -> Score:
        """The score stage under those of these routes whose models were announced by the time of a block: a request
        that names no model is for the only one that there is.
        """
        there = announced(self._first, routes, max(block.times, default=0))
        key = tuple(sorted((model, route.epoch) for model, route in there.items()))
        if key not in self._steps:
            serving = Serving(self._load, without_fallback=self._instead)
            changed = {(route.model, route.epoch): route for route in self._history}
            for change in key:
                try:
                    serving.follow(changed[change])
                except Exception:  # its requests are refused, as they were
                    if changed[change].model in self._answered:
                        raise
            self._steps[key] = Score(serving, recorded=self._shapes)
        return self._steps[key]


def _instead(route: Route, instead: Mapping[str, str]) -> Route:
    if route.model not in instead:
        return route
    return msgspec.structs.replace(route, champion=instead[route.model], canary={}, shadows=())


def _gather(
    blocks: Iterable[Block], cuts: Sequence[int], step_of: Callable[[int, Block], Score]
) -> Iterator[tuple[Score, list[Block]]]:
    """Blocks of one step, as many as meet the models in one go.

    Parameters
    ----------
    blocks, cuts
        Blocks, and the first offsets of the live blocks that they are parts of.
    step_of
        Gives the step of a block of the n-th live one.
    """
    at, held, gathered, rows = 0, None, list[Block](), 0
    for block in blocks:
        while at + 1 < len(cuts) and cuts[at + 1] <= block.first:
            at += 1
        step = step_of(at, block)
        if held is not None and gathered and (step is not held or rows > _ROWS_AT_ONCE):
            yield held, gathered
            gathered, rows = [], 0
        held, rows = step, rows + len(block)
        gathered.append(block)
    if held is not None and gathered:
        yield held, gathered


def _process(step: Score, blocks: list[Block]) -> Again:
    observations: list[tuple[Observed, bytes]] = []
    answers: list[bytes] = []
    for effects in step.effects(blocks):
        for message in effects.publish:
            value = message.value or b""
            if message.topic == "predictions":
                answers.append(value)
            elif message.topic == "observations":
                observations.append((Observed.read(value), value))
    places = [request for request, _, _ in answered(message for message, _ in observations)]
    times = [time for block in blocks for time in block.times]
    return Again(
        [offset for block in blocks for offset in block.offsets],
        (min(times), max(times)),
        observations,
        dict(zip(places, answers, strict=True)),
    )
