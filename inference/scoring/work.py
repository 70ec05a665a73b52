"""What is left of a micro-batch once it is decoded: the models are called, then answers are written."""

from collections.abc import Callable, Sequence

from inference.scoring.calls import Call, Called, ModelCalls, give_back
from inference.scoring.outcome import Outcome
from inference.scoring.shadows import Shadows
from streams.runtime.stage import Work
from streams.wire.block import Block
from streams.wire.effects import Effects, with_more


class ScoreWork(Work):
    """Scores the rows of a micro-batch, then gives each block its effects.

    Parameters
    ----------
    calls
        Calls models.
    to_make
        Which calls, in order: those who answer, and shadows where nobody else scores them.
    blocks, outcomes
        The micro-batch, and what each block has led to.
    shadows
        Who scores shadows after the commit; None where shadows are among the calls.
    on_finish
        Called when it is finished.
    """

    def __init__(
        self,
        calls: ModelCalls,
        to_make: Sequence[Call],
        blocks: Sequence[Block],
        outcomes: Sequence[Outcome],
        shadows: Shadows | None = None,
        on_finish: Callable[[], object] = lambda: None,
    ) -> None:
        self._calls, self._to_make = calls, to_make
        self._blocks, self._outcomes = blocks, outcomes
        self._shadows, self._on_finish = shadows, on_finish
        self._called: list[Called] = []

    @property
    def estimated_ms(self) -> float:
        """How long the models will take."""
        return self._calls.estimated_ms(self._to_make)

    def compute(self) -> None:
        """Call the models; see `ModelCalls.make`."""
        self._called = [called for call in self._to_make for called in self._calls.make(call, self._outcomes)]

    def finish(self) -> Sequence[Effects]:
        """Give each block what is its own; what shadows have said meanwhile leaves with the first."""
        for called in self._called:
            give_back(called, self._outcomes)
        effects = [outcome.effects() for outcome in self._outcomes]
        if self._shadows is not None and effects:  # else they leave with a silence
            effects[0] = with_more(effects[0], self._shadows.results(self._blocks))
        self._on_finish()
        return effects
