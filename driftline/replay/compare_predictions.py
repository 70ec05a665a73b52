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
        self.totals = Predictions()
        self.rows: list[Row] = []
        self._strictly = strictly
        self._wanted = wanted
        self._total = 0.0
        self._worst: list[tuple[float, int, Example]] = []
        self._number = itertools.count()

    def add(self, partition: int, served: Mapping[Place, bytes], replayed: Mapping[Place, bytes]) -> None:
        """Compare the answers of some requests of a partition.

        Parameters
        ----------
        served, replayed
            Encoded predictions by the place of their requests.
        """
        both = served.keys() & replayed.keys()
        self.totals.missing += len(served) - len(both)
        self.totals.extra += len(replayed) - len(both)
        self.totals.compared += len(both)
        for request in sorted(both):
            then, now = served[request], replayed[request]
            if then == now and not self._wanted:
                self.totals.equal += 1
                continue
            row = Row(_decode(then), _decode(now))
            if row.served.id in self._wanted:
                self.rows.append(row)
            if then == now or (not self._strictly and _claim(row.served) == _claim(row.replayed)):
                self.totals.equal += 1
            else:
                self._differs(f"requests/{partition}/{request[0]}", row)

    def count_requests(self, counted: tuple[int, int]) -> None:
        """Add requests that were replayed: how many there are, and how many of them are dead letters now."""
        self.totals.requests += counted[0]
        self.totals.refused += counted[1]

    def result(self) -> Predictions:
        """The sums."""
        self.totals.mean = self._total / self.totals.compared if self.totals.compared else 0.0
        self.totals.examples = [example for _, _, example in sorted(self._worst, key=lambda ranked: -ranked[0])]
        return self.totals

    def _differs(self, request: str, row: Row) -> None:
        served, replayed = row.served, row.replayed
        difference = replayed.score - served.score
        # Another version may spell the same class differently: true, where this one says 1.
        self.totals.changed += Classes((served.prediction,)).of(replayed.prediction) is None
        self.totals.most = max(self.totals.most, abs(difference))
        self._total += abs(difference)
        example = Example(
            id=served.id,
            place=request,
            served=served.prediction,
            served_score=served.score,
            replayed=replayed.prediction,
            replayed_score=replayed.score,
            difference=difference,
        )
        ranked = (abs(difference), -next(self._number), example)  # of equals the first is kept
        (heapq.heappushpop if len(self._worst) == EXAMPLES else heapq.heappush)(self._worst, ranked)


def _claim(prediction: Prediction) -> tuple[bytes, str, dict[str, float] | None]:
    """What a prediction says, its score to the bit."""
    return struct.pack("d", prediction.score), prediction.prediction, prediction.scores
