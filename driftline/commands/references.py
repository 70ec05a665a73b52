"""References as files: built, shown, checked."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from drift.reference import file as reference_file
from drift.reference.reference import Reference

if TYPE_CHECKING:
    from drift.store import StoreSettings
    from drift.store.table import StoreTable

#: Levels, or columns, that a line still shows.
_SHOWN_MAX = 6


class NoReference(ValueError):
    """A file that is no reference, or a table that makes none; the text says what to do."""


class Column(msgspec.Struct, frozen=True):
    """A column of a reference as people read it. ``null_rate`` is a share of the rows."""

    name: str
    kind: str
    cells: int
    null_rate: float
    content: str


def read(path: Path) -> Reference:
    """Read a reference file.

    Raises
    ------
    NoReference
        There is none, or it is none.
    """
    if path.is_dir():
        path = path / "reference.arrow"
    if not path.is_file():
        raise NoReference(f"{path}: no such file; `driftline reference build` or `driftline model init` makes one")
    try:
        return Reference.from_file(path)
    except (reference_file.NoReference, OSError) as error:
        raise NoReference(str(error)) from error


def in_store(settings: "StoreSettings", table: str, order_by: Sequence[str]) -> "StoreTable":
    """Name a table of the store, to be profiled there.

    Parameters
    ----------
    settings
        Of a user who may read the table.
    table, order_by
        As `source` and `order_by` of `drift.store.table.StoreTable`.
    """
    from drift.store import Store
    from drift.store.table import StoreTable

    return StoreTable(Store.connect(settings), table, order_by)


def build(data: "Path | StoreTable", out: Path, *, anyway: bool = False, **known: Any) -> Reference:
    """Profile a table into a file.

    Parameters
    ----------
    anyway
        Write it although the table's own halves differ.
    known
        See `drift.Reference.fit`.

    Raises
    ------
    NoReference
        The halves differ: nothing is written.
    """
    reference = Reference.fit(data, **known)
    if reference.checks and not anyway:
        raise NoReference(f"{data}: {doubt(reference)}; nothing is written (--anyway writes it)")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(reference.to_bytes())
    return reference


def doubt(reference: Reference) -> str:
    """Say which columns differ between the halves of the training table; empty where none does."""
    if not reference.checks:
        return ""
    more = len(reference.checks) - _SHOWN_MAX
    named = ", ".join(reference.checks[:_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
    return (
        f"its first and its second half differ in {named}, and windows would differ from it for ever: "
        f"{_REMEDIES[reference.order]}"
    )


def assumed_order(reference: Reference, *known: object) -> str:
    """Say that the order of the file was taken; empty where something was ``known`` of the order.

    >>> import pyarrow as pa
    >>> assumed_order(Reference.fit(pa.table({"x": [1.5, 2.5]})), "file")
    ''
    """
    if reference.order != "file" or any(known):
        return ""
    return (
        "no column of times is named: the rows are taken to stand in the order in which they came (--time COLUMN "
        "names it; --order unknown says that they were mixed, as train_test_split does; --order file, that they were "
        "not)"
    )


#: What to do about halves that differ, by the order in which the rows were taken.
_REMEDIES = {
    "time": (
        "if these follow a cycle of day or week, take whole cycles, at least two; if they changed for good, take the "
        "rows since then; else exclude the column"
    ),
    "file": (
        "name the column of event times if there is one (--time COLUMN); if the rows are sorted by something else, say "
        "--order unknown; if these follow a cycle of day or week, take whole cycles, at least two; if they changed for "
        "good, take the rows since then; else exclude the column"
    ),
    "unknown": "the rows were mixed, so this is chance or a fault; exclude the column",
}


def judged_rows(reference: Reference) -> str:
    """Say which rows the figures of a reference's performance are of.

    >>> import pyarrow as pa
    >>> judged_rows(Reference.fit(pa.table({"x": [1.5, 2.5]})))
    "the table's own 2 rows"
    """
    if reference.held_out_rows:
        return f"{reference.held_out_rows:,} held-out rows"
    learnt = ", which the model has learnt from" if reference.in_sample else ""
    return f"the table's own {reference.rows:,} rows{learnt}"


def columns(reference: Reference) -> list[Column]:
    """Every column of a reference, features first."""
    return [
        Column(
            name=cells.name,
            kind=cells.kind,
            cells=cells.size,
            null_rate=float(reference.of(cells.name)[cells.null]) / max(1, int(reference.of(cells.name).sum())),
            content=content(reference, cells.name),
        )
        for cells in reference.columns
    ]


def content(reference: Reference, name: str) -> str:
    """Say what a column held: its range, or its levels with the most frequent first."""
    n = reference.place(name)
    cells = reference.columns[n]
    if cells.kind == "numeric":
        low, high = (float(end) for end in reference.extremes[n])
        return "no finite value" if np.isnan(low) else f"{low:.4g} to {high:.4g}"
    counts = reference.of(name)[: len(cells.levels)]
    rows = max(1, int(reference.of(name).sum()))
    shares = [f"{cells.levels[k]} {counts[k] / rows:.0%}" for k in np.argsort(-counts, kind="stable")]
    more = len(shares) + len(cells.others) - _SHOWN_MAX
    return ", ".join(shares[:_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
