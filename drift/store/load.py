"""Rows out of the store, into a notebook."""

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from streams.wire.time_limits import END_MS

if TYPE_CHECKING:
    from drift.store import Store, StoreSettings

#: Tables and views by the name that people ask for, and their column of event time.
TABLES = {
    "predictions": "ts",
    "outcomes": "ts",
    "feedback": "ts",
    "alerts": "ts",
    "retraining": "ts",
    "reports": "window_start",
}

Moment = str | dt.datetime | pd.Timestamp | int


class LoadError(ValueError):
    """A table or a stretch of time that cannot be loaded; the text says what can."""


def load(
    table: str,
    *,
    last: str | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
    model: str | None = None,
    version: str | None = None,
    url: str | None = None,
    rows_max: int = 1_000_000,
) -> pa.Table:
    """Load rows from the store as an Arrow table, in the order of event time.

    Parameters
    ----------
    table
        ``predictions``, ``observations`` (with the features; needs ``model``), ``outcomes``, ``feedback``, ``alerts``,
        ``retraining`` or ``reports``.
    last
        How far back from now, as pandas spells it: ``"1d"``, ``"90min"``.
    start, end
        The stretch itself, end excluded: text, a datetime (naive ones are UTC) or milliseconds.
    model, version
        Only theirs.
    url
        ``clickhouse://user@host:port/database``. By default what the environment says, ``DRIFTLINE_CLICKHOUSE__URL``
        and its ``__PASSWORD``, else the embedded store whose data lies in ``DRIFTLINE_DATA_DIR``, or in the
        ``.driftline`` nearest to the working directory.
    rows_max
        More rows than this are refused: name a shorter stretch.

    Raises
    ------
    LoadError
        No such table or stretch, or more rows than ``rows_max``.
    drift.store.StoreUnavailable
        Nobody answers there.

    Examples
    --------
    >>> drift.load("predictions", last="1d", model="churn").to_pandas()  # doctest: +SKIP
    """
    from drift.store import Store

    first, until = _stretch(last, start, end)
    store = Store.connect(_settings(url))
    try:
        return rows(store, table, first, until, model=model, version=version, rows_max=rows_max)
    finally:
        store.close()


def rows(
    store: "Store",
    table: str,
    first: int,
    until: int,
    *,
    model: str | None = None,
    version: str | None = None,
    rows_max: int = 1_000_000,
) -> pa.Table:
    """Load rows of a stretch, ms, from an open store; see `load`.

    Parameters
    ----------
    first, until
        Event times, ms UTC; ``until`` is left out.
    model, version
        Only theirs; None for all.
    rows_max
        More than so many rows are an error.
    """
    time, source, bound = _stretch_of(table, first, until, model, version)
    loaded = store.arrow(f"SELECT * {source} ORDER BY {time} LIMIT {{most:UInt64}}", bound | {"most": rows_max + 1})
    if loaded.num_rows > rows_max:
        raise LoadError(f"{table} holds more than {rows_max:,} rows in that stretch; shorten it, or raise rows_max")
    return loaded


def sample(
    store: "Store", table: str, first: int, until: int, *, model: str, version: str, rows_max: int
) -> tuple[pa.Table, int]:
    """Load a sample of a stretch, the same at each call: the rows whose ids have the least hashes.

    Parameters
    ----------
    first, until
        ms, the end excluded.
    rows_max
        So many rows; all where there are no more.

    Returns
    -------
    table, rows
        The sample in the order of event time, and how many rows the stretch has.
    """
    time, source, bound = _stretch_of(table, first, until, model, version)
    ((every,),) = store.rows(f"SELECT count() {source}", bound)
    drawn = f"SELECT * {source} ORDER BY cityHash64(id) LIMIT {{most:UInt64}}"
    return store.arrow(f"SELECT * FROM ({drawn}) ORDER BY {time}", bound | {"most": rows_max}), every  # noqa: S608


def _stretch_of(
    table: str, first: int, until: int, model: str | None, version: str | None
) -> tuple[str, str, dict[str, Any]]:
    """The column of event time, FROM and WHERE, and the values bound in them."""
    from drift.store.client import quote

    name, time = _table(table, model)
    conditions = [f"{time} >= {{first:DateTime64(3, 'UTC')}}", f"{time} < {{until:DateTime64(3, 'UTC')}}"]
    bound: dict[str, Any] = {"first": first, "until": until}
    for column, value in (("model", model), ("version", version)):
        if value is not None and table != "feedback":  # A label knows its prediction's id and no more.
            conditions.append(f"{column} = {{{column}:String}}")
            bound[column] = value
    # Names are of our own list, or quoted; values are bound.
    return time, f"FROM {quote(name)} WHERE {' AND '.join(conditions)}", bound


def _table(table: str, model: str | None) -> tuple[str, str]:
    if table == "observations":
        if model is None:
            raise LoadError("observations are kept model by model; name one: drift.load('observations', model='churn')")
        return f"observations_{model}", "ts"
    if table not in TABLES:
        raise LoadError(f"no table {table!r}; there are observations, {', '.join(TABLES)}")
    return table, TABLES[table]


def _stretch(last: str | None, start: Moment | None, end: Moment | None) -> tuple[int, int]:
    """First and end of a stretch, ms.

    >>> _stretch(None, "2026-11-21", "2026-11-21T00:01:00+01:00")
    Traceback (most recent call last):
    drift.store.load.LoadError: the stretch from 2026-11-21 to 2026-11-21T00:01:00+01:00 is empty; swap the ends
    >>> _stretch("1min", None, 60_000)
    (0, 60000)
    """
    if (last is None) == (start is None):
        raise LoadError("say how far back, last='1d', or since when, start='2026-11-01'; one of them")
    until = _ms(dt.datetime.now(dt.UTC) if end is None else end)
    if last is None:
        assert start is not None
        first = _ms(start)
    else:
        try:
            first = max(0, until - pd.Timedelta(last) // pd.Timedelta(1, "ms"))
        except (ValueError, OverflowError) as error:
            raise LoadError(f"last={last!r}: {error}; write 1d, 6h or 90min") from None
    if first >= until:
        raise LoadError(f"the stretch from {last or start} to {end or 'now'} is empty; swap the ends")
    return first, until


def _ms(moment: Moment) -> int:
    """Read a time as ms.

    >>> _ms(float("nan"))
    Traceback (most recent call last):
    drift.store.load.LoadError: nan is no time between 1970 and 2099; write 2026-11-21T09:30:00Z
    """
    if isinstance(moment, int) and not isinstance(moment, bool):
        ms = moment
    elif isinstance(moment, str | dt.date):
        try:
            stamp = pd.Timestamp(moment)
        except (ValueError, OverflowError) as error:
            raise LoadError(f"{str(moment)[:60]!r} is no time: {error}; write 2026-11-21T09:30:00Z") from None
        utc = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp
        ms = -1 if pd.isna(utc) else int(utc.timestamp() * 1000)
    else:
        ms = -1
    if not 0 <= ms <= END_MS:
        raise LoadError(f"{str(moment)[:60]} is no time between 1970 and 2099; write 2026-11-21T09:30:00Z")
    return ms


def _settings(url: str | None) -> "StoreSettings":
    """Where the store is; the variables are those of the settings."""
    from drift.store import StoreSettings
    from drift.store.passwords import READER

    variables = {
        key: os.environ.get(f"DRIFTLINE_CLICKHOUSE__{key}", "") for key in ("URL", "PASSWORD", "PORT", "DATABASE")
    }
    if url or variables["URL"]:
        return StoreSettings.from_url(url or variables["URL"], _secret(variables["PASSWORD"]))
    return StoreSettings.embedded(
        _data_dir() / "store", int(variables["PORT"] or 19_000), variables["DATABASE"] or "driftline", READER
    )


def _data_dir() -> Path:
    if named := os.environ.get("DRIFTLINE_DATA_DIR"):
        return Path(named)
    here = Path.cwd()
    near = (folder / ".driftline" for folder in (here, *here.parents))
    return next((folder for folder in near if folder.is_dir()), here / ".driftline")


def _secret(reference: str) -> str:
    from streams.secrets import open_reference

    return open_reference(reference)
