"""A model whose score is twice the first value; it fails on 13, and a gate holds whoever asks it."""

import threading

from inference import Limits, ModelPackage, Shapes
from streams.wire.schema import Feature

DEADLINE_S = 20.0


def package_of(name="m", version="v1", shapes=(16, 64), wait_ms=0):
    """A regression over one number; ``wide`` takes a level and a boolean, too."""
    more = (Feature("city", "categorical", categories=("Rome", "Oslo")), Feature("vip", "boolean"))
    return ModelPackage(
        name=name,
        version=version,
        task="regression",
        artefact="m.py:M",
        inputs=(Feature("x"), *(more if name == "wide" else ())),
        limits=Limits(batch_rows=shapes[-1], buckets=shapes[:-1], wait_ms_max=wait_ms),
    )


class Doubling:
    """See above; ``seen`` are the first columns of the batches that passed."""

    def __init__(self, shapes):
        self.shapes = Shapes(shapes)
        self.error = None
        self.gate = threading.Event()
        self.gate.set()
        self.forget()

    def forget(self):
        """Begin anew: the blank batches of a start are nobody's."""
        self.seen = []
        self.inside = threading.Semaphore(0)

    def hold(self):
        """Let nobody through from now on."""
        self.gate.clear()

    def score(self, matrix):
        self.inside.release()
        assert self.gate.wait(DEADLINE_S)
        if self.error:
            raise self.error
        if (matrix[:, 0] == 13).any():
            raise ValueError("thirteen")
        self.seen.append(matrix[:, 0].copy())
        return 2 * matrix[:, :1]

    def health(self):
        return ""
