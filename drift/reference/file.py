"""A reference as bytes: an Arrow file with a row a column, and one JSON head in its metadata.

A file may be anybody's. Its sizes are checked before anything is unpacked, its columns' types before they become
Python's, and what its parts say of one another before anybody counts by it. A hash of the whole finds the byte that
changed on a disk; whoever writes the file may write the hash too, so it shows damage, not an author.
"""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from drift.cells.cells import Cells
from drift.cells.profile import Order, Profile, Task
from drift.reference.checks import CELLS_MAX, COLUMNS_MAX, contradiction
from streams.wire.arrow_bounds import content_hash, read_table
from streams.wire.refusals import Refused
from streams.wire.schema import FeatureSchema

FORMAT = 1
_KEY, _HASH_KEY = b"driftline.reference", b"driftline.reference.hash"

#: Bytes of a file, bytes that it may unpack to, and bytes of its head. A file of 1,000 columns has about 2 MB.
BYTES_MAX = UNPACKED_BYTES_MAX = 67_108_864
HEAD_BYTES_MAX = 16_777_216
#: Levels without a cell of their own, of all columns.
OTHERS_MAX = 1_000_000

_NUMBERS, _TEXTS, _COUNTS = pa.list_(pa.float64()), pa.list_(pa.string()), pa.list_(pa.int64())
#: Type of each column that is read, and how many elements the lists of all its rows may have together.
_COLUMNS: dict[str, tuple[pa.DataType, int]] = {
    "name": (pa.string(), 0),
    "role": (pa.string(), 0),
    "kind": (pa.string(), 0),
    "source": (pa.string(), 0),
    "edges": (_NUMBERS, CELLS_MAX),
    "levels": (_TEXTS, CELLS_MAX),
    "others": (_TEXTS, OTHERS_MAX),
    "open": (pa.bool_(), 0),
    "low": (pa.float64(), 0),
    "high": (pa.float64(), 0),
    "counts": (_COUNTS, CELLS_MAX),
    "moments": (_COUNTS, 2 * COLUMNS_MAX),
    "extremes": (_NUMBERS, 2 * COLUMNS_MAX),
    "centre": (pa.float64(), 0),
    "scale": (pa.float64(), 0),
    "spread": (pa.float64(), 0),
    "selection_bias": (pa.int64(), 0),
}


class NoReference(ValueError):
    """Bytes that are no reference, or one of a format number that this version does not know."""


#: Characters of a reason that are shown: it may quote the file.
_WHY_MAX = 300


class _Format(msgspec.Struct):
    format: int = 0


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
    labels: list[tuple[int, int, int, int]] | None
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


def encode(reference: Profile) -> bytes:
    """Write; see `Reference.to_bytes`.

    Raises
    ------
    NoReference
        It is larger than what is read again.
    """
    table = _table(reference)
    head = msgspec.json.encode(_written(reference))
    try:
        _check_sizes(table, head)
        bare = _arrow(table, {_KEY: head})
        if len(bare) > BYTES_MAX - 1_000:
            raise ValueError(f"{len(bare)} bytes, at most {BYTES_MAX} are read")
    except ValueError as error:
        raise NoReference(f"too large a reference ({error}); exclude columns with many levels") from None
    return _arrow(table, {_KEY: head, _HASH_KEY: _hash(head, bare).encode()})


def _arrow(table: pa.Table, metadata: dict[bytes, bytes]) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema.with_metadata(metadata)) as writer:
        writer.write_table(table)
    value: bytes = sink.getvalue().to_pybytes()
    return value


def _hash(head: bytes, blob: bytes) -> str:
    return content_hash(blob, hashlib.blake2b(head, digest_size=16))


def read_file(path: Path) -> Profile:
    """Read a file, of which no more than `BYTES_MAX` bytes are taken into memory.

    Raises
    ------
    NoReference
        See `decode`; the text names the file.
    OSError
        It cannot be read.
    """
    with path.open("rb") as opened:
        blob = opened.read(BYTES_MAX + 1)
    try:
        return decode(blob)
    except NoReference as error:
        raise NoReference(f"{path}: {error}") from error


def decode(blob: bytes) -> Profile:
    """Read; see `Reference.from_bytes`.

    Raises
    ------
    NoReference
        No reference of ours, damaged, too large, one that contradicts itself, or of a format number from the future.
    """
    try:
        table = read_table(blob, BYTES_MAX, UNPACKED_BYTES_MAX, COLUMNS_MAX)
        metadata = table.schema.metadata or {}
        raw = metadata[_KEY]
        number = msgspec.json.decode(raw, type=_Format).format
        if number != FORMAT:
            raise NoReference(f"reference format {number}, this version reads {FORMAT}; fit it again or upgrade")
        _check_sizes(table, raw)
        if _HASH_KEY in metadata and metadata[_HASH_KEY].decode() != _hash(raw, blob):
            raise ValueError("a byte of it was changed since it was written")
        reference = _reference(msgspec.json.decode(raw, type=Head), table)
        if what := contradiction(reference):
            raise ValueError(what)
        return reference
    except NoReference:
        raise
    except Refused as error:
        raise _not_one(str(error.args[2])) from error
    except KeyError as error:
        raise _not_one(f"it lacks {error}") from error
    except Exception as error:  # Arrow, NumPy and our own checks each have their errors for bytes that contradict them
        raise _not_one(str(error) or type(error).__name__) from error


def _not_one(why: str) -> NoReference:
    shown = why if len(why) <= _WHY_MAX else f"{why[:_WHY_MAX]}..."
    return NoReference(f"not a reference ({shown}); make one with Reference.fit(...).to_bytes()")


def _check_sizes(table: pa.Table, head: bytes) -> None:
    """Check types and lengths before anything becomes Python's: there a text of one byte takes 60."""
    if len(head) > HEAD_BYTES_MAX:
        raise ValueError(f"a head of {len(head)} bytes, at most {HEAD_BYTES_MAX} are read")
    if table.num_rows > COLUMNS_MAX:
        raise ValueError(f"{table.num_rows} columns, at most {COLUMNS_MAX} are read")
    for name, (kind, elements_max) in _COLUMNS.items():
        places = table.schema.get_all_field_indices(name)
        if not places and name == "selection_bias":
            continue  # It came later.
        if len(places) != 1 or table.schema.field(places[0]).type != kind:
            types = [str(table.schema.field(n).type) for n in places]
            raise ValueError(f"column {name!r} of types {types}, one of {kind} is read")
        elements = sum(len(chunk.flatten()) for chunk in table.column(places[0]).chunks) if elements_max else 0
        if elements > elements_max:
            raise ValueError(f"column {name!r} of {elements} elements, at most {elements_max} are read")


def digest(reference: Profile) -> str:
    """Hash the content, whatever Arrow's version writes around it."""
    body = msgspec.msgpack.encode((_written(reference), _table(reference).to_pydict()))
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def _written(reference: Profile) -> dict[str, Any]:
    """The head as it is written and hashed."""
    head = _head(reference)
    fields: dict[str, Any] = msgspec.to_builtins(head)
    defaults = {field.name: field.default for field in msgspec.structs.fields(Head)}
    return {
        name: value for name, value in fields.items() if name not in _LATER or getattr(head, name) != defaults[name]
    }


def _head(reference: Profile) -> Head:
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


def _table(reference: Profile) -> pa.Table:
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


def _reference(head: Head, table: pa.Table) -> Profile:
    column = table.select([name for name in _COLUMNS if name in table.column_names]).to_pydict()
    fields = ("name", "role", "kind", "edges", "levels", "others", "open", "low", "high")
    cells = [
        msgspec.convert(dict(zip(fields, values, strict=True)), Cells)
        for values in zip(*(column[field] for field in fields), strict=True)
    ]
    width = len(cells)
    return Profile(
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
