"""At which batch shape rows were scored: observations say it, and the same shape gives the same bits again."""

from collections import defaultdict
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
    >>> shapes.read([observed(512, 3, 6, 7), observed(64, 4)])  # 4 was taken apart, as after the end of a process
    >>> block = Block.of("r", 0, [b""] * 6, first=3)
    >>> zeros = np.zeros(5, np.int64)
    >>> rows = Rows(FeatureSchema((Feature('x'),)), np.zeros((5, 1), np.float32), {}, ["a"] * 5, zeros, np.array([0, 1, 3, 4, 5]), zeros)
    >>> shapes("m", "v1", block, rows).tolist(), shapes("m", "v2", block, rows).tolist()
    ([512, 64, 512, 512, 0], [0, 0, 0, 0, 0])
    """  # noqa: E501

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}

    def read(self, served: Iterable[Observed]) -> None:
        """Take the observations of one partition in place of the last one's."""
        parts = defaultdict[tuple[str, str], list[tuple[np.ndarray, np.ndarray]]](list)
        for message in served:
            shapes = np.full(len(message.offsets), message.head.batch_rows, np.int32)
            parts[message.head.model, message.head.version].append((_keys(message.offsets, message.rows), shapes))
        self._known = {whose: _in_order(each) for whose, each in parts.items()}

    def __call__(self, model: str, version: str, block: Block, rows: Rows) -> np.ndarray:
        """See `inference.scoring.stage.Recorded`."""
        known, shapes = self._known.get((model, version), (np.zeros(0, np.int64), np.zeros(0, np.int32)))
        if not len(known):
            return np.zeros(len(rows), np.int32)
        keys = _keys(np.asarray(block.offsets, np.int64)[rows.at], rows.row)
        at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        return np.where(known[at] == keys, shapes[at], 0).astype(np.int32)


def _keys(offsets: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Places of requests as numbers in their order."""
    return (offsets.astype(np.int64) << _ROW_BITS) | rows.astype(np.int64)


def _in_order(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    keys, shapes = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(keys, kind="stable")
    return keys[order], shapes[order]
