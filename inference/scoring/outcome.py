"""What a block of requests leads to: its rows by version, its answers, its refusals."""

from collections.abc import Sequence
from itertools import chain

import msgspec
import numpy as np

from inference.scoring.observations import refused_request, unanswered
from inference.serving.routing import Role
from streams.wire.block import Block
from streams.wire.dead_letters import dead_letter, further
from streams.wire.effects import Effects, Publish
from streams.wire.observation import RefusedRequest
from streams.wire.refusals import Refusal
from streams.wire.rows import Rows

STAGE = "score"


class Part(msgspec.Struct):
    """Rows of one block that one version scores, as that version sees them, and as they were decoded for all."""

    block: int
    role: Role
    rows: Rows
    decoded: Rows

    def pick(self, at: np.ndarray) -> "Part":
        """Some of the rows, by position."""
        return Part(self.block, self.role, self.rows.pick(at), self.decoded.pick(at))


class Outcome:
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
        """Let those who watch a version know of a request that it would have answered.

        Parameters
        ----------
        model, version
            Who would have answered.
        refusal
            Why nobody did.
        columns
            The model's features, in its order.
        """
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
