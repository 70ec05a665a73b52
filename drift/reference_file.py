"""A reference as bytes: an Arrow file with a row a column, and one JSON head in its metadata."""

import hashlib
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from drift.cells import Cells
from drift.reference import Reference, Task
from drift.row_order import Order
from streams.schema import FeatureSchema

FORMAT = 1
_KEY = b"driftline.reference"


class NoReference(ValueError):
    """Bytes that are no reference, or one of a format number that this version does not know."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """All of a reference that is not a column's."""

    format: int = FORMAT
    task: Task | None
    rows: int
    schema: FeatureSchema
    label: str | None
    positive: str | None
    segments: tuple[str, ...]
    design_effects: list[float]
    labels: list[list[int]] | None
    positive_share: list[float] | None
    performance: dict[str, float]
    loss_design_effect: float = 1.0
    checks: tuple[str, ...]
    notes: tuple[str, ...]
    classes: tuple[str, ...] = ()
    order: Order = "file"
    held_out_rows: int = 0
    in_sample: bool = False
    warnings: tuple[str, ...] = ()


#: Fields that came later: one that has its default is left out, so that an older reference keeps its bytes and its id.
_LATER = ("classes", "order", "held_out_rows", "in_sample", "warnings")


def encode(reference: Reference) -> bytes:
    """Write; see `Reference.to_bytes`."""
    table = _table(reference).replace_schema_metadata({_KEY: msgspec.json.encode(_written(reference))})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    value: bytes = sink.getvalue().to_pybytes()
    return value


def decode(blob: bytes) -> Reference:
    """Read; see `Reference.from_bytes`.

    Raises
    ------
    NoReference
        No reference of ours, damaged, or of a format number from the future.
    """
    try:
        table = pa.ipc.open_file(blob).read_all()
        raw = (table.schema.metadata or {})[_KEY]
        number = msgspec.json.decode(raw, type=dict[str, Any]).get("format")
        if number != FORMAT:
            raise NoReference(f"reference format {number}, this version reads {FORMAT}; fit it again or upgrade")
        return _reference(msgspec.json.decode(raw, type=Head), table)
    except NoReference:
        raise
    except Exception as error:  # Arrow, NumPy and our own checks each have their errors for bytes that contradict them
        raise NoReference(f"not a reference ({error}); make one with Reference.fit(...).to_bytes()") from error


def digest(reference: Reference) -> str:
    """Hash the content, whatever Arrow's version writes around it."""
    body = msgspec.msgpack.encode((_written(reference), _table(reference).to_pydict()))
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def _written(reference: Reference) -> dict[str, Any]:
    """The head as it is written and hashed."""
    head = _head(reference)
    fields: dict[str, Any] = msgspec.to_builtins(head)
    defaults = {field.name: field.default for field in msgspec.structs.fields(Head)}
    return {
        name: value for name, value in fields.items() if name not in _LATER or getattr(head, name) != defaults[name]
    }


def _head(reference: Reference) -> Head:
    labels, share = reference.labels, reference.positive_share
    return Head(
        task=reference.task,
        rows=reference.rows,
        schema=reference.schema,
        label=reference.label,
        positive=reference.positive,
        segments=reference.segments,
        design_effects=reference.design_effects.tolist(),
        labels=None if labels is None else labels.tolist(),
        positive_share=None if share is None else share.tolist(),
        performance=dict(reference.performance),
        loss_design_effect=reference.loss_design_effect,
        checks=reference.checks,
        notes=reference.notes,
        classes=reference.classes,
        order=reference.order,
        held_out_rows=reference.held_out_rows,
        in_sample=reference.in_sample,
        warnings=reference.warnings,
    )


def _table(reference: Reference) -> pa.Table:
    cells = reference.columns
    counts = np.split(reference.counts, reference.offsets[1:-1])
    bias = {"selection_bias": pa.array(reference.selection_bias)} if reference.selection_bias.any() else {}
    return pa.table(
        {
            "name": pa.array([c.name for c in cells], pa.string()),
            "role": pa.array([c.role for c in cells], pa.string()),
            "kind": pa.array([c.kind for c in cells], pa.string()),
            "source": pa.array(reference.sources, pa.string()),
            "edges": pa.array([list(c.edges) for c in cells], pa.list_(pa.float64())),
            "levels": pa.array([list(c.levels) for c in cells], pa.list_(pa.string())),
            "others": pa.array([list(c.others) for c in cells], pa.list_(pa.string())),
            "open": pa.array([c.open for c in cells], pa.bool_()),
            "low": pa.array([c.low for c in cells], pa.float64()),
            "high": pa.array([c.high for c in cells], pa.float64()),
            "labels": pa.array([list(c.labels) for c in cells], pa.list_(pa.string())),
            "counts": pa.array([c.tolist() for c in counts], pa.list_(pa.int64())),
            "moments": pa.array(reference.moments.tolist(), pa.list_(pa.int64())),
            "extremes": pa.array(reference.extremes.tolist(), pa.list_(pa.float64())),
            "centre": pa.array(reference.centre, pa.float64()),
            "scale": pa.array(reference.scale, pa.float64()),
            "spread": pa.array(reference.spread, pa.float64()),
        }
        | bias
    )


def _reference(head: Head, table: pa.Table) -> Reference:
    column = table.to_pydict()
    fields = ("name", "role", "kind", "edges", "levels", "others", "open", "low", "high")
    cells = [
        msgspec.convert(dict(zip(fields, values, strict=True)), Cells)
        for values in zip(*(column[field] for field in fields), strict=True)
    ]
    width = len(cells)
    return Reference(
        task=head.task,
        rows=head.rows,
        schema=head.schema,
        columns=tuple(cells),
        sources=tuple(column["source"]),
        counts=np.array([n for counts in column["counts"] for n in counts], np.int64),
        selection_bias=np.array(column.get("selection_bias", [0] * width), np.int64),
        moments=np.array(column["moments"], np.int64).reshape(width, 2),
        extremes=np.array(column["extremes"], np.float32).reshape(width, 2),
        centre=np.array(column["centre"], np.float64),
        scale=np.array(column["scale"], np.float64),
        spread=np.array(column["spread"], np.float64),
        design_effects=np.array(head.design_effects, np.float64),
        label=head.label,
        positive=head.positive,
        segments=head.segments,
        labels=None if head.labels is None else np.array(head.labels, np.int64),
        positive_share=None if head.positive_share is None else np.array(head.positive_share, np.float64),
        performance=head.performance,
        loss_design_effect=head.loss_design_effect,
        checks=head.checks,
        notes=head.notes,
        classes=head.classes,
        order=head.order,
        held_out_rows=head.held_out_rows,
        in_sample=head.in_sample,
        warnings=head.warnings,
    )
