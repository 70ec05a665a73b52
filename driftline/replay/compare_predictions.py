"""Predictions served against predictions replayed, request by request."""

import heapq
import itertools
import struct
from collections.abc import Mapping

import msgspec

from driftline.replay.result import Example, Predictions
from driftline.replay.served import Place
from streams.wire.classes import Classes
from streams.wire.records import Prediction

EXAMPLES = 5

_decode = msgspec.json.Decoder(Prediction).decode


class Row(msgspec.Struct, frozen=True):
    """One request that was answered both times."""

    served: Prediction
    replayed: Prediction


class Comparing:
    """Adds up what differs.

    Parameters
    ----------
    strictly
        The messages must be equal, byte for byte; else version and route may differ.
    wanted
        Ids whose rows are kept, for the labels that they have.
    """

    def __init__(self, strictly: bool, wanted: frozenset[str]) -> None:
        self.found = Predictions()
        self.rows: list[Row] = []
        self._strictly = strictly
        self._wanted = wanted
        self._total = 0.0
        self._worst: list[tuple[float, int, Example]] = []
        self._number = itertools.count()

    def take(self, partition: int, served: Mapping[Place, bytes], replayed: Mapping[Place, bytes]) -> None:
        """Compare the answers of some requests of a partition."""
        both = served.keys() & replayed.keys()
        self.found.missing += len(served) - len(both)
        self.found.extra += len(replayed) - len(both)
        self.found.compared += len(both)
        for place in sorted(both):
            one, other = served[place], replayed[place]
            if one == other and not self._wanted:
                self.found.equal += 1
                continue
            row = Row(_decode(one), _decode(other))
            if row.served.id in self._wanted:
                self.rows.append(row)
            if one == other or (not self._strictly and _says(row.served) == _says(row.replayed)):
                self.found.equal += 1
            else:
                self._differs(f"requests/{partition}/{place[0]}", row)

    def result(self) -> Predictions:
        """The sums."""
        self.found.mean = self._total / self.found.compared if self.found.compared else 0.0
        self.found.examples = [example for _, _, example in sorted(self._worst, key=lambda found: -found[0])]
        return self.found

    def _differs(self, place: str, row: Row) -> None:
        served, replayed = row.served, row.replayed
        difference = replayed.score - served.score
        # Another version may spell the same class differently: true, where this one says 1.
        self.found.changed += Classes((served.prediction,)).of(replayed.prediction) is None
        self.found.most = max(self.found.most, abs(difference))
        self._total += abs(difference)
        example = Example(
            id=served.id,
            place=place,
            served=served.prediction,
            served_score=served.score,
            replayed=replayed.prediction,
            replayed_score=replayed.score,
            difference=difference,
        )
        ranked = (abs(difference), -next(self._number), example)  # of equals the first is kept
        (heapq.heappushpop if len(self._worst) == EXAMPLES else heapq.heappush)(self._worst, ranked)


def _says(one: Prediction) -> tuple[bytes, str, dict[str, float] | None]:
    """What a prediction claims, its score to the bit."""
    return struct.pack("d", one.score), one.prediction, one.scores
