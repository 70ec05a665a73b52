"""Packed rows: little-endian float32, the model's inputs in the order of its schema, one row or several a message.

A cell is what stands in a model's matrix: the number; 0 or 1; the place of a level among the categories. NaN is
missing, of a level too. A level that the model does not know has no place, so it cannot be sent in this format.
"""

from collections.abc import Callable

import numpy as np

from streams.formats.envelope import Schemas, default_id, default_time, find, header
from streams.formats.row_batch import RowBatch
from streams.wire.block import Block
from streams.wire.message_limits import BYTES_MAX, ROWS_MAX
from streams.wire.refusals import Refusal, Refused
from streams.wire.rows import Rows
from streams.wire.schema import Feature, FeatureSchema


class PackedDecoder:
    """Reads blocks of packed rows; the header ``model`` names the model where there is more than one."""

    def __init__(self, schemas: Schemas, packed: Callable[[str], FeatureSchema] | None = None) -> None:
        self._schemas = schemas
        self._packed = packed

    def __call__(self, block: Block) -> tuple[dict[str, Rows], list[Refusal]]:
        """Decode a block: rows by model, and the refused records and rows."""
        messages: dict[str, _Messages] = {}
        refused: list[Refusal] = []
        for at in range(len(block)):
            try:
                named = header(block, at, "model") if block.headers[at] else None
                model, schema = find(self._schemas, named)
                if model not in messages:
                    messages[model] = _Messages(schema, self._packed(model) if self._packed else schema)
                messages[model].add(block, at)
            except Refused as why:
                refused.append(Refusal(at, *why.args))
        rows = {}
        for model, several in messages.items():
            if several.ids:
                batch = several.batch()
                rows[model] = batch.rows()
                refused += batch.refusals(model)
        return rows, refused

    def claimed(self, block: Block, at: int) -> int:
        """How many rows a message claims to hold, by its length; one where its model is not known."""
        known = self._schemas(header(block, at, "model"))
        if known is None:
            return 1
        model, schema = known
        return len(block.values[at] or b"") // (4 * len(self._packed(model) if self._packed else schema))


class _Messages:
    """Messages of one model."""

    def __init__(self, schema: FeatureSchema, packed: FeatureSchema) -> None:
        self._schema, self._packed = schema, packed
        self._row_bytes = 4 * len(packed)
        self._values: list[bytes] = []
        self._at: list[int] = []
        self._counts: list[int] = []
        self._ts: list[int] = []
        self.ids: list[str] = []

    def add(self, block: Block, at: int) -> None:
        value = block.values[at]
        if not value:
            raise Refused("empty", "$", "the record has no value")
        if len(value) > BYTES_MAX:
            raise Refused("oversize", "$", f"{len(value)} bytes, at most {BYTES_MAX} are read")
        count, rest = divmod(len(value), self._row_bytes)
        if rest:
            detail = (
                f"{len(value)} bytes are no whole rows of {len(self._packed)} float32, {self._row_bytes} bytes each"
            )
            raise Refused("undecodable", "$", detail)
        if count > ROWS_MAX:
            raise Refused("oversize", "$", f"{count} rows, at most {ROWS_MAX} are read")
        ts, base = default_time(block, at), default_id(block, at)
        self._values.append(value)
        self._at.append(at)
        self._counts.append(count)
        self._ts.append(ts)
        self.ids += [base] if count == 1 else [f"{base}/{row}" for row in range(count)]

    def batch(self) -> RowBatch:
        counts = np.array(self._counts)
        n = int(counts.sum())
        row = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
        read = np.frombuffer(b"".join(self._values), "<f4").reshape(n, -1)
        matrix = np.full((n, len(self._schema)), np.nan, np.float32)
        matrix[:, [self._schema.names.index(name) for name in self._packed.names]] = read
        ts, at = np.repeat(np.array(self._ts, np.int64), counts), np.repeat(np.array(self._at, np.int64), counts)
        batch = RowBatch(self._schema, matrix, self.ids, ts, at, row.astype(np.int32))
        for j, feature in enumerate(self._schema.features):
            _check(batch, feature, matrix[:, j])
        batch.require()
        return batch


def _check(batch: RowBatch, feature: Feature, column: np.ndarray) -> None:
    """Refuse cells that mean nothing, and give missing levels their code."""
    missing = np.isnan(column)
    sent = column.copy()
    if feature.kind == "boolean":
        bad = ~missing & (column != 0) & (column != 1)
        batch.refuse(bad, "wrong_type", feature.name, lambda n: f"{sent[n]:g} is neither 0, 1 nor NaN")
    elif feature.kind == "categorical":
        size = len(feature.categories)
        with np.errstate(invalid="ignore"):  # there are two kinds of NaN, and numpy warns of one
            bad = ~missing & ~((column >= 0) & (column < size) & (column == np.floor(column)))
        meaning = f"is no place among {size} categories (0 to {size - 1}), nor NaN"
        batch.refuse(bad, "wrong_type", feature.name, lambda n: f"{sent[n]:g} {meaning}")
        column[missing] = feature.null_code
