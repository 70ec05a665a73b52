"""Page data: everything one page says, gathered before a pixel is drawn. Its JSON view is the same data."""

from typing import Any

import msgspec
import pandas as pd

from dashboards import words
from dashboards.macros import Range
from dashboards.page import live
from dashboards.page.address import Address
from dashboards.page.query_cache import Answer, QueryCache
from dashboards.panels import Level, at_level, named

#: Panels that a page takes from another level: for its sentence, or to mark incidents.
_ALSO: dict[Level, tuple[str, ...]] = {"column": ("incidents",), "fleet": ("fleet_traffic", "dead_letters")}
#: Refusals of an hour ago are news, whatever was answered last.
_REFUSED_MS = 3_600_000


class PageData(msgspec.Struct, frozen=True):
    """What a page shows: its address, the stretch of time, an answer a panel, the roles' state."""

    address: Address
    over: Range
    answers: dict[str, Answer]
    live: dict[str, Any]
    now_ms: int
    store_away: str = ""
    _plain: dict[str, list[dict[str, Any]]] = {}

    def frame(self, name: str) -> pd.DataFrame:
        """The answer of a panel."""
        return self.answers[name].frame if name in self.answers else pd.DataFrame(columns=list(named(name).columns))

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The answer of a panel as plain values: times in ms, no NaN."""
        if name not in self._plain:
            self._plain[name] = plain(self.frame(name))
        return self._plain[name]

    @property
    def beside(self) -> words.Beside:
        """What every time of the page is read beside."""
        return words.Beside(self.over.end_ms, self.now_ms)

    @property
    def away(self) -> list[str]:
        """What does not answer now, in sentences: the store, and what the roles wait for."""
        shown = "the page shows what it answered last"
        store = [f"The store is away, and {shown}: {self.store_away}"] if self.store_away else []
        return store + live.away(self.live)

    @property
    def trouble(self) -> str:
        """Why some panel shows an old picture, or an empty text."""
        return next((answer.trouble for answer in self.answers.values() if answer.trouble), "")


def gather(queries: QueryCache, address: Address) -> PageData:
    """Ask all that a page needs."""
    answers: dict[str, Answer] = {}
    stretch = (address.last, address.start_ms, address.end_ms)
    if address.page == "incident":
        whole = Range(0, 0)
        answers["incident"] = queries.ask(named("incident"), whole, {"incident": address.incident}, stretch)
        events = plain(answers["incident"].frame)
        address = address.go(model=events[0]["model"] if events else "")
    else:
        events = []
    over = queries.range(address)

    def ask(name: str, at: Address = address) -> None:
        until = _until_now(over, at, queries.clock()) if name == "dead_letters" else over
        answers[name] = queries.ask(named(name), until, _variables(at), stretch)

    if address.page != "nowhere":
        level: Level = address.page
        for name in (*(panel.name for panel in at_level(level)), *_ALSO.get(level, ())):
            if name not in answers:
                ask(name)
    if address.page == "incident" and (moved := plain(answers["incident_columns"].frame)):
        variables = _variables(address.go(column=moved[0]["column"]))
        answers["examples"] = queries.ask(named("examples"), _moved_rows(events, over), variables, stretch)
    naming = address.column if address.page == "column" else ""
    if address.page in ("model", "column") and (incident := _open(plain(answers["incidents"].frame), naming)):
        ask("incident_columns", address.go(incident=incident))
    return PageData(address, over, answers, queries.live(), queries.clock(), queries.store_away())


def _moved_rows(events: list[dict[str, Any]], over: Range) -> Range:
    """Where rows of an incident's change lie: up to now while it is open, else up to when it was told first, for
    later ones may be back to normal.
    """
    if not events or events[-1]["event"] != "close":
        return over
    return Range(events[0]["change_point"], events[0]["window_end"], over.step_ms_min)


def _until_now(over: Range, address: Address, now_ms: int) -> Range:
    """A live stretch up to now: it ends with the newest row that was answered, and what is refused comes after it."""
    if address.end_ms is not None:
        return over
    return Range(min(over.start_ms, now_ms - _REFUSED_MS), max(over.end_ms, now_ms), over.step_ms_min)


def _variables(address: Address) -> dict[str, str]:
    return {"model": address.model, "column": address.column, "incident": address.incident}


def _open(incidents: list[dict[str, Any]], naming: str) -> str | None:
    """The first open incident; of a column, if one is given."""
    several = (row for row in incidents if row["closed"] is None and (not naming or naming in row["columns"]))
    return next((row["incident"] for row in several), None)


def plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a frame as JSON's own types: instants become ms UTC, NaN and NaT become None.

    >>> plain(pd.DataFrame({"time": [pd.Timestamp(1000, unit="ms", tz="UTC")], "x": [float("nan")]}))
    [{'time': 1000, 'x': None}]
    """
    columns = {name: [_plain(value) for value in frame[name]] for name in frame.columns}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _plain(value: Any) -> Any:
    if isinstance(value, pd.Timestamp):
        return int(value.timestamp() * 1000)
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if value is pd.NaT or value is None or value != value else value  # NaN is not itself.
