"""The life of incidents about columns: named by evidence, paged by effect, closed when they are long back."""

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from drift.evidence import alarming, named
from drift.incidents import column_moves as moves
from drift.incidents import sentences
from drift.incidents.book import Finding
from drift.incidents.changed_column import ChangedColumn
from drift.incidents.changed_levels import changed_levels, changed_parts, kind
from drift.incidents.closed_window import EvidenceWindow
from drift.incidents.column_finding import column_finding
from drift.incidents.incident import Incident
from drift.incidents.predictions import prediction_effects
from drift.incidents.severity import worse
from drift.incidents.text import text
from streams.wire.records import Alert, Reach, Severity

#: Change points no further apart than so many windows share an incident; or than half their age.
TOGETHER_WINDOWS = 2
#: Where a named column has gone since it was told.
Way = Literal["further", "onward", "back", "crossed", "part", ""]


@dataclass(eq=False)
class News:
    """What one window changed in one incident: columns that joined it, and where the others have gone."""

    incident: Incident
    opened: bool = False
    material: bool = False
    joined: list[ChangedColumn] = field(default_factory=list)
    gone: dict[Way, list[ChangedColumn]] = field(default_factory=lambda: defaultdict(list))

    @property
    def left(self) -> list[ChangedColumn]:
        """Columns that the incident names no more."""
        return self.gone["back"] + self.gone["onward"]

    @property
    def moving(self) -> list[ChangedColumn]:
        """Columns that it goes on to name, and that have moved again."""
        return self.gone["further"] + self.gone["part"] + self.gone["crossed"]


class Incidents(msgspec.Struct, eq=False):
    """The open incidents of a model version.

    A window is observed in four steps, and every incident that they changed is told of once:

    1. A named column that changes again is still moving, or somewhere new (another incident), or on its way back. What
       moves on in the direction in which it had moved is one incident, told again at each further tolerance.
    2. Other columns that have changed are named; they join an incident of the same time, or open one.
    3. A column that has long been like the reference leaves; the last one closes the incident.
    4. The first effect that is above its tolerance for certain is told, and pages if it is grave enough.
    """

    open: list[Incident] = []

    def observe(self, window: EvidenceWindow, number: Callable[[], int]) -> list[tuple[Incident, Finding]]:
        """Take a window; ``number`` gives the next incident's number."""
        news = {incident.number: News(incident) for incident in self.open}
        known = [column.index for column in self._all()]
        onward = self._change_again(window, len(known), news)
        self._place(window, onward + _name(window, known), news, number)
        self._rest(window, news)
        for incident in self.open:
            news[incident.number].material = _material(window, incident)
            for column in incident.columns:
                if column.may_be_sized_up(window):
                    column.levels = changed_levels(window, column)
        model = window.context.model
        homes = {column.index: incident.name(model) for incident in self.open for column in incident.columns}
        self.open = [incident for incident in self.open if incident.columns]
        several = ((of, _finding(window, of, homes)) for of in news.values())
        return [(of.incident, finding) for of, finding in several if finding is not None]

    def changed(self, column: int) -> ChangedColumn | None:
        """What is known of a column, if an open incident names it."""
        return next((changed for changed in self._all() if changed.index == column), None)

    def _all(self) -> list[ChangedColumn]:
        return [column for incident in self.open for column in incident.columns]

    def _change_again(self, window: EvidenceWindow, known: int, news: dict[int, News]) -> list[ChangedColumn]:
        """Look again at the named columns; returns those that want an incident of their own."""
        onward: list[ChangedColumn] = []
        for incident in self.open:
            of, columns = news[incident.number], []
            for column in incident.columns:
                changed = window.weighted[column.index] >= window.log_budget - math.log(known)
                columns.append(column.redated(window) if changed else column)
            for column in [column for column in columns if column.again]:
                way = _way(window, incident, column)
                of.gone[way].append(column)
                column.again = way not in ("further", "onward") and not moves.settled(window, column)
            incident.columns = [column for column in columns if column not in of.left]
            incident.later += sorted({column.change_point for column in of.moving if not column.of_first_window})
            for column in of.gone["crossed"]:
                column.cross()
            onward += of.gone["onward"]
        for column in onward:
            column.forget()
        return onward

    def _place(
        self, window: EvidenceWindow, columns: list[ChangedColumn], news: dict[int, News], number: Callable[[], int]
    ) -> None:
        """Put each column into the incident of its time."""
        for column in columns:
            homes = (incident for incident in self.open if incident.columns and _together(window, incident, column))
            home = next(homes, None)
            if home is None:
                home = Incident.of(number(), column)
                self.open.append(home)
                news[home.number] = News(home, opened=True)
            home.columns.append(column)
            news[home.number].joined.append(column)

    def _rest(self, window: EvidenceWindow, news: dict[int, News]) -> None:
        for incident in self.open:
            of = news[incident.number]
            back = [column for column in incident.columns if column not in of.joined and column.rest(window)]
            incident.columns = [column for column in incident.columns if column not in back]
            of.gone["back"] += back


def _name(window: EvidenceWindow, known: list[int]) -> list[ChangedColumn]:
    """Name columns that have changed; those that were named before this window are no news."""
    others = [column for column in range(len(window.weighted)) if column not in known]
    least = 1 if others and alarming(window.weighted[others], window.log_budget) else 0
    if not least and not known:
        return []
    return [ChangedColumn.named(window, column) for column in named(window.weighted, window.log_budget, known, least)]


def _way(window: EvidenceWindow, incident: Incident, column: ChangedColumn) -> Way:
    """Where a column that changed again has gone; empty while that is not settled, or it has only moved a little."""
    if moves.further(window, column):
        return "further"
    if not _together(window, incident, column) and moves.elsewhere(window, column):
        return "onward"
    if not moves.settled(window, column):
        return ""
    if moves.back(window, column):
        return "back"
    if not moves.nearer(window, column):
        return ""
    return "crossed" if moves.crossed(window, column) else "part"


def _material(window: EvidenceWindow, incident: Incident) -> bool:
    """Whether people are to be told now: when the first column is materially away, and if the severity grows."""
    material = [column for column in incident.columns if moves.material(window, column)]
    if not material:
        return False
    severity: Severity = "warning" if kind(window, material) == "prediction" else "watch"
    if any(column.broken(window) for column in material):
        severity = "critical"
    if incident.material and not worse(severity, incident.severity):
        return False
    incident.material, incident.severity = True, severity
    return True


def _finding(window: EvidenceWindow, news: News, homes: dict[int, str]) -> Finding | None:
    """What is new of one incident; what was told before is not told again."""
    incident, gone = news.incident, news.gone
    reach: Reach = "chat" if incident.material else "list"
    if not incident.columns:
        farewell = sentences.farewell(window, gone["back"], gone["onward"], homes)
        return column_finding(window, incident, "close", reach, farewell, news.left)
    sentence = sentences.headline(window, incident, gone["further"], gone["part"], gone["crossed"])
    if news.opened and news.material:  # One event, not two that say the same.
        finding = column_finding(window, incident, "open", "page", sentence, worse=True)
    elif news.opened:
        sentence = text(sentence, sentences.immaterial(window, incident.columns))
        finding = column_finding(window, incident, "open", "list", sentence)
    elif news.material:
        finding = column_finding(window, incident, "update", "page", sentence, worse=True)
    elif news.joined or news.moving:
        is_worse = bool(news.joined or gone["further"])
        finding = column_finding(window, incident, "update", reach, sentence, worse=is_worse)
    elif news.left:
        farewell = sentences.farewell(window, gone["back"], gone["onward"], homes)
        sentence = text(sentence, sentences.immaterial(window, incident.columns), "; ", farewell)
        finding = column_finding(window, incident, "update", reach, sentence)
    elif incident.last is not None and _answers_known(window, incident, incident.last):
        finding = column_finding(window, incident, "update", reach, sentence)
    else:
        return None
    _remember(window, incident)
    return finding


def _remember(window: EvidenceWindow, incident: Incident) -> None:
    """Keep of each column what was just told of it."""
    for column in incident.columns:
        if not column.unsettled(window):
            parts = [(part.name, list(part.cells)) for part in changed_parts(window, column)]
            column.remember(window, changed_levels(window, column), parts)


def _answers_known(window: EvidenceWindow, incident: Incident, last: Alert) -> bool:
    """Whether it is known by now what became of the model's answers, where it was unclear when it was told."""
    unclear = {effect.name for effect in last.predictions if effect.word == "unclear"}
    if not unclear or incident.base is None or any(column.role == "prediction" for column in last.columns):
        return False
    return all(effect.word != "unclear" for effect in prediction_effects(window, incident.base))


def _together(window: EvidenceWindow, incident: Incident, column: ChangedColumn) -> bool:
    """Whether a change is of an incident's time: change points within two windows, or half their age."""
    age = window.number - min(incident.start, column.start)
    return abs(incident.start - column.start) <= max(TOGETHER_WINDOWS, age / 2)
