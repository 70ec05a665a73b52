"""Wire types as rows: which table each record goes to, under which column names.

Each function takes records of one kind and returns `Rows` for `Store.insert`. Times stay integers, milliseconds.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from drift.store.migrate import observations_table
from streams.wire.dead_letters import Letter
from streams.wire.observation import OWN, Head
from streams.wire.records import Alert, LabelSums, Order, Outcome, PartialCounts
from streams.wire.schema import Kind

if TYPE_CHECKING:
    from drift.reference.reference import Reference


#: Parts of an alert that a panel unpacks itself.
_AS_JSON = ("columns", "opinions", "predictions", "parts")


class Rows(NamedTuple):
    """Rows of one table, column by column."""

    table: str
    columns: dict[str, Any]


def of_observations(head: Head, batch: pa.RecordBatch) -> Rows:
    """One block of observations; make the table first with `ensure_observations(store, model, features_of(batch))`."""
    n = batch.num_rows
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    columns["source_offset"] = columns.pop("offset")
    same = {
        "model": head.model,
        "version": head.version,
        "source_topic": head.topic,
        "source_partition": head.partition,
        "batch_rows": head.batch_rows,
    }
    return Rows(observations_table(head.model), columns | {name: np.full(n, value) for name, value in same.items()})


def features_of(batch: pa.RecordBatch) -> list[tuple[str, Kind]]:
    """Name and kind of the features in a block of observations.

    >>> own = [pa.array([], type) for type in OWN.types]
    >>> features_of(pa.RecordBatch.from_arrays([*own, pa.array([], pa.float32())], names=[*OWN.names, "age"]))
    [('age', 'numeric')]
    """
    return [(f.name, _kind(f.type)) for f in batch.schema if f.name not in OWN.names]


def _kind(arrow_type: pa.DataType) -> Kind:
    if pa.types.is_dictionary(arrow_type):
        return "categorical"
    return "boolean" if pa.types.is_boolean(arrow_type) else "numeric"


def of_feedback(topic: str, partition: int, labels: Sequence[tuple[int, str, int, str]]) -> Rows:
    """Labels as (offset, prediction id, time of the label, text of the label).

    Parameters
    ----------
    topic, partition
        Where the labels stood.
    labels
        Offset, prediction id, time of the label in ms, and its text.
    """
    offsets, ids, times, texts = zip(*labels, strict=True) if labels else ((), (), (), ())
    n = len(labels)
    record = {"source_topic": [topic] * n, "source_partition": [partition] * n, "source_offset": offsets}
    return Rows("feedback", {"id": ids, "ts": times, "label": texts, **record})


def of_outcomes(outcomes: Sequence[Outcome]) -> Rows:
    """Joined labels."""
    return Rows("outcomes", _fields(outcomes, Outcome, leave=("format",)))


def of_counts(messages: Sequence[PartialCounts]) -> Rows:
    """Partial counts, a row for each of their minutes."""
    pairs = [(message, minute) for message in messages for minute in message.minutes]
    extremes = [np.frombuffer(minute.extremes, "<f4").reshape(-1, 2) for _, minute in pairs]
    return Rows(
        "counts_in",
        {
            "model": [message.model for message, _ in pairs],
            "version": [message.version for message, _ in pairs],
            "reference": [message.reference for message, _ in pairs],
            "segment": [minute.segment for _, minute in pairs],
            "minute": [minute.minute_ms for _, minute in pairs],
            "late": [minute.late for _, minute in pairs],
            "rows": [minute.rows for _, minute in pairs],
            "cells": [_integers(minute.cells) for _, minute in pairs],
            "moments": [_integers(minute.moments) for _, minute in pairs],
            "lowest": [pair[:, 0].tolist() for pair in extremes],
            "highest": [pair[:, 1].tolist() for pair in extremes],
        },
    )


def of_label_sums(messages: Sequence[LabelSums]) -> Rows:
    """Label sums of score cells."""
    names = ("model", "version", "reference", "segment")
    columns: dict[str, Any] = {name: [getattr(m, name) for m in messages] for name in names}
    columns["minute"] = [m.minute_ms for m in messages]
    columns["cells"] = [_integers(m.cells) for m in messages]
    return Rows("label_counts_in", columns)


def of_alerts(alerts: Sequence[Alert]) -> Rows:
    """Incidents' events."""
    columns = _fields(alerts, Alert, leave=("format", "worse", *_AS_JSON))
    columns["names"] = [[column.name for column in alert.columns] for alert in alerts]
    # Alerts of older versions have no parts.
    columns |= {name: [msgspec.json.encode(getattr(a, name) or []).decode() for a in alerts] for name in _AS_JSON}
    return Rows("alerts", columns)


def of_orders(orders: Sequence[Order]) -> Rows:
    """Retraining orders."""
    return Rows("retraining", _fields(orders, Order, leave=("format",)))


def of_dead_letters(letters: Sequence[Letter]) -> Rows:
    """Dead letters, without the bytes of their records."""
    names = ("stage", "reason", "field", "detail", "attempts", "source_partition", "source_offset")
    columns: dict[str, Any] = {name: [getattr(letter, name) for letter in letters] for name in names}
    columns["source_topic"] = [letter.topic for letter in letters]
    columns["ts"] = [letter.time_ms for letter in letters]
    columns["bytes"] = [letter.size for letter in letters]
    columns["letter_partition"] = [letter.partition for letter in letters]
    columns["letter_offset"] = [letter.offset for letter in letters]
    return Rows("dead_letters", columns)


def of_reference(model: str, version: str, reference: "Reference") -> Rows:
    """A reference as rows of the table `references`, a row a column.

    Parameters
    ----------
    model, version
        Whose it is.
    reference
        With its own id, by which reports and incidents name it.
    """
    from drift.reference.baseline import Baseline  # SciPy, which a sink without references does without.

    n = len(reference.columns)
    return Rows(
        "references",
        {
            "model": [model] * n,
            "version": [version] * n,
            "reference": [reference.id] * n,
            "place": list(range(n)),
            "column": [cells.name for cells in reference.columns],
            "role": [cells.role for cells in reference.columns],
            "kind": [cells.kind for cells in reference.columns],
            "first_cell": reference.offsets[:-1].tolist(),
            "labels": [list(cells.labels) for cells in reference.columns],
            "edges": [list(cells.edges) for cells in reference.columns],
            "counts": [reference.of(cells.name).tolist() for cells in reference.columns],
            "rows": [int(reference.of(cells.name).sum()) for cells in reference.columns],
            "centre": reference.centre.tolist(),
            "scale": reference.scale.tolist(),
            "design_effect": Baseline(reference).design_effects.tolist(),
        },
    )


def _integers(packed: bytes) -> list[int]:
    numbers: list[int] = np.frombuffer(packed, "<i8").tolist()
    return numbers


def _fields(records: Sequence[Any], kind: type[msgspec.Struct], leave: tuple[str, ...]) -> dict[str, Any]:
    names = [name for name in kind.__struct_fields__ if name not in leave]
    return {name: [getattr(record, name) for record in records] for name in names}
