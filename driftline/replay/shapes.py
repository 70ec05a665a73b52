"""At which batch shape rows were scored: observations say it, and the same shape gives the same bits again."""

from collections.abc import Iterable

import numpy as np

from driftline.replay.served import Observed
from streams.wire.block import Block
from streams.wire.rows import Rows

#: Rows of a message that are told apart; a message holds far fewer.
_ROW_BITS = 20


class BatchShapes:
    """Looks up recorded batch shapes.

    >>> import pyarrow as pa
    >>> from streams.wire.observation import Head
    >>> from streams.wire.schema import Feature, FeatureSchema
    >>> def observed(rows, *offsets):
    ...     head = Head(model="m", version="v1", topic="r", partition=0, first=offsets[0], last=offsets[-1], batch_rows=rows)
    ...     n = len(offsets)
    ...     return Observed(head, "champion", pa.array(["a"] * n), np.array(offsets), np.zeros(n, int), np.zeros(n, int), 0)
    >>> shapes = BatchShapes()
    >>> shapes.read([observed(512, 3, 4, 6), observed(64, 7)])
    >>> block = Block.of("r", 0, [b""] * 6, first=3)
    >>> zeros = np.zeros(5, np.int64)
    >>> rows = Rows(FeatureSchema((Feature('x'),)), np.zeros((5, 1), np.float32), {}, ["a"] * 5, zeros, np.array([0, 1, 3, 4, 5]), zeros)
    >>> shapes("m", "v1", block, rows).tolist(), shapes("m", "v2", block, rows).tolist()
    ([512, 512, 512, 64, 0], [0, 0, 0, 0, 0])
    """  # noqa: E501

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def read(self, served: Iterable[Observed]) -> None:
        """Take the observations of one partition in place of the last one's."""
        runs: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
        for message in served:
            if len(message.offsets):
                keys = _keys(message.offsets[[0, -1]], message.rows[[0, -1]])
                whose = message.head.model, message.head.version
                runs.setdefault(whose, []).append((int(keys[0]), int(keys[1]), message.head.batch_rows))
        self._runs = {whose: _columns(sorted(each)) for whose, each in runs.items()}

    def __call__(self, model: str, version: str, block: Block, rows: Rows) -> np.ndarray:
        """See `inference.scoring.stage.Recorded`."""
        if (model, version) not in self._runs:
            return np.zeros(len(rows), np.int32)
        firsts, lasts, shapes = self._runs[model, version]
        keys = _keys(np.asarray(block.offsets, np.int64)[rows.at], rows.row)
        run = np.searchsorted(firsts, keys, "right") - 1
        return np.where((run >= 0) & (keys <= lasts[run]), shapes[run], 0).astype(np.int32)


def _keys(offsets: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Places of requests as numbers in their order."""
    return (offsets.astype(np.int64) << _ROW_BITS) | rows.astype(np.int64)


def _columns(runs: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    firsts, lasts, shapes = zip(*runs, strict=True)
    return np.array(firsts), np.array(lasts), np.array(shapes, np.int32)
