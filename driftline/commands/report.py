"""Evidently's report of a stretch of live rows, or of an incident, against the training table."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from drift.analysis.report.evidently_process import ROWS_MAX, EvidentlyProcess, thinned
from drift.cells import frames
from drift.cells.columns import floats, levels
from drift.store import Store
from drift.store.load import sample
from driftline.commands import model_profile
from driftline.roles import parts
from driftline.settings import Settings
from inference import Registry
from streams.wire.schema import Kind
from streams.wire.spelling import boolean_of, level_text


class ReportRefused(ValueError):
    """A report that cannot be made as asked; the text says what is missing."""


class Stretch(NamedTuple):
    """Rows to report on: a model's version, from a time, until another (ms)."""

    model: str
    version: str
    first: int
    until: int


def of_incident(store: Store, incident: str) -> Stretch:
    """The stretch of an incident: from its change point to its latest event.

    Raises
    ------
    ReportRefused
        The store knows no such incident.
    """
    rows = store.rows(
        "SELECT model, version, min(change_point), max(window_end) FROM alerts WHERE incident = {incident:String} "
        "GROUP BY model, version",
        {"incident": incident},
    )
    if not rows:
        known = store.rows("SELECT incident FROM alerts GROUP BY incident ORDER BY max(ts) DESC LIMIT 5")
        raise ReportRefused(f"no incident {incident!r}; the latest are: {', '.join(r[0] for r in known) or 'none'}")
    model, version, changed, until = rows[0]
    return Stretch(model, version, _ms(changed), _ms(until))


def of_model(store: Store, model: str, start: str, end: str | None, version: str | None) -> Stretch:
    """The stretch of a model's answers between two times.

    Parameters
    ----------
    start, end
        As pandas reads times: ``2026-11-21T09:30:00Z``. `end` is left out of the stretch; None is now.
    version
        None is the version that answered most.

    Raises
    ------
    ReportRefused
        The times cannot be read, or the model answered nothing in between.
    """
    try:
        first = _ms(pd.Timestamp(start).to_pydatetime())
        until = _ms(pd.Timestamp(end).to_pydatetime() if end else datetime.now(UTC))
    except ValueError as error:
        raise ReportRefused(f"--from {start} --to {end}: {error}; write 2026-11-21T09:30:00Z") from None
    rows = store.rows(
        "SELECT version FROM predictions WHERE model = {model:String} AND ts >= {first:DateTime64(3, 'UTC')} "
        "AND ts < {until:DateTime64(3, 'UTC')} GROUP BY version ORDER BY count() DESC LIMIT 1",
        {"model": model, "first": first, "until": until},
    )
    if not rows:
        raise ReportRefused(f"{model} answered nothing from {start} to {end or 'now'}; see `driftline model list`")
    return Stretch(model, version or rows[0][0], first, until)


class Written(NamedTuple):
    """A report: its file, the rows on both sides, and how many of them Evidently has seen."""

    file: Path
    rows: int
    rows_compared: int
    training_rows: int
    training_rows_compared: int


def write(
    settings: Settings, store: Store, stretch: Stretch, training: Path, out: Path, evidently: EvidentlyProcess
) -> Written:
    """Write the report.

    Parameters
    ----------
    evidently
        It begins to import Evidently as soon as it is entered, so that is done early.
    training
        The training table: Evidently compares rows with rows. The registry's model scores it where it has no scores.

    Raises
    ------
    ReportRefused
        There are no rows to report on.
    """
    reference = parts.catalogue(settings)(stretch.model, stretch.version)
    folder = Registry(settings.registry).folder(stretch.model, stretch.version)
    model, version, first, until = stretch
    kinds = {cells.name: cells.kind for cells in reference.columns}
    came, rows = sample(store, "observations", first, until, model=model, version=version, rows_max=ROWS_MAX)
    if not rows:
        raise ReportRefused(f"{model} {version} has no rows in the store from {first} to {until} (ms UTC)")
    table = frames.read(training, reference.kinds)
    then = reference.align(model_profile.with_scores(folder, reference, thinned(table)))
    evidently.write(_plain(came, kinds), _plain(then, kinds), out)
    return Written(out, rows, came.num_rows, table.num_rows, then.num_rows)


def _plain(table: pa.Table, kinds: dict[str, Kind]) -> pa.Table:
    """A table's columns in one order and of one type each: numbers, and texts for all that has levels."""
    columns = {}
    for name, kind in kinds.items():
        column = table.column(name)
        if kind == "numeric":
            columns[name] = pa.array(floats(column, name))
            continue
        codes, texts = levels(column)
        if kind == "boolean":
            truths = [boolean_of(text) for text in texts]
            texts = [None if truth is None else level_text(truth) for truth in truths]
        columns[name] = pa.array(np.array([*texts, None], object)[codes], pa.string())
    return pa.table(columns)


def _ms(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)
