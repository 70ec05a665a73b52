"""The rules of an incident's life: named by evidence, paged by effect, closed when it is long back."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec

from drift.evidence import alarming, named
from drift.incidents import sentences
from drift.incidents.alerts import alert, farewell
from drift.incidents.changed_column import Moved
from drift.incidents.changed_levels import moved_levels, moved_parts
from drift.incidents.closed_window import Scene
from drift.incidents.incident import Incident
from drift.incidents.predictions import prediction_effects
from drift.incidents.severity import worse
from streams.wire.records import Alert, Reach, Severity

#: Change points no further apart than so many windows share an incident; or than half their age.
TOGETHER_WINDOWS = 2


@dataclass(eq=False)
class News:
    """What one window changed in one incident."""

    incident: Incident
    opened: bool = False
    material: bool = False
    joined: list[Moved] = field(default_factory=list)
    back: list[Moved] = field(default_factory=list)
    onward: list[Moved] = field(default_factory=list)
    part: list[Moved] = field(default_factory=list)
    crossed: list[Moved] = field(default_factory=list)
    further: list[Moved] = field(default_factory=list)
    homes: dict[int, str] = field(default_factory=dict)


class Incidents(msgspec.Struct, eq=False):
    """The open incidents of a model version.

    A window is taken in four steps, and every incident that they changed is told of once:

    1. A named column that changes again is still moving, or somewhere new (another incident), or on its way back. What
       moves on in the direction in which it had moved is one incident, told again at each further tolerance.
    2. Other columns that have changed are named; they join an incident of the same time, or open one.
    3. A column that has long been like the reference leaves; the last one closes the incident.
    4. The first effect that is above its tolerance for certain is told, and pages if it is grave enough.
    """

    open: list[Incident] = []

    def take(self, scene: Scene, number: Callable[[], int]) -> list[Alert]:
        """Take a window; returns what is to be told. ``number`` gives the next incident's number."""
        news = {incident.number: News(incident) for incident in self.open}
        known = [moved.column for moved in self._all()]
        onward = self._change_again(scene, len(known), news)
        self._place(scene, onward + _name(scene, known), news, number)
        self._rest(scene, news)
        for incident in self.open:
            news[incident.number].material = _material(scene, incident)
        homes = {moved.column: f"{scene.model}-{incident.number}" for incident in self.open for moved in incident.moved}
        for of in news.values():
            of.homes = homes
        self.open = [incident for incident in self.open if incident.moved]
        return [told for told_of in news.values() for told in _tell(scene, told_of)]

    def moved(self, column: int) -> Moved | None:
        """What is known of a column, if an open incident names it."""
        return next((moved for moved in self._all() if moved.column == column), None)

    def close_all(self, ts: int, why: str) -> list[Alert]:
        """Close what is open, for a reason that is no window's."""
        alerts = [farewell(incident, ts, why) for incident in self.open]
        self.open = []
        return alerts

    def _all(self) -> list[Moved]:
        return [moved for incident in self.open for moved in incident.moved]

    def _change_again(self, scene: Scene, known: int, news: dict[int, News]) -> list[Moved]:
        """Look again at the named columns; returns those that want an incident of their own."""
        onward: list[Moved] = []
        for incident in self.open:
            of, kept = news[incident.number], []
            for moved in incident.moved:
                changed = scene.weighted[moved.column] >= scene.log_budget - math.log(known)
                kept.append(moved.anew(scene) if changed else moved)
            for moved in [moved for moved in kept if moved.again]:
                settled = moved.settled(scene)
                if moved.further(scene):
                    of.further.append(moved)
                elif _elsewhere(scene, incident, moved):
                    of.onward.append(moved)
                elif settled and moved.back(scene):
                    of.back.append(moved)
                elif settled and moved.nearer(scene):
                    (of.crossed if moved.crossed(scene) else of.part).append(moved)
                moved.again = not (moved in of.further or moved in of.onward or settled)
            incident.moved = [moved for moved in kept if moved not in of.onward and moved not in of.back]
            onward += of.onward
            incident.later += sorted({moved.change_point for moved in of.further + of.part + of.crossed})
            for moved in of.crossed:
                moved.cross()
        for moved in onward:
            moved.forget()
        return onward

    def _place(self, scene: Scene, found: list[Moved], news: dict[int, News], number: Callable[[], int]) -> None:
        """Put each column into the incident of its time."""
        for moved in found:
            homes = (incident for incident in self.open if incident.moved and _together(scene, incident, moved))
            home = next(homes, None)
            if home is None:
                home = Incident.of(number(), moved)
                self.open.append(home)
                news[home.number] = News(home, opened=True)
            home.moved.append(moved)
            news[home.number].joined.append(moved)

    def _rest(self, scene: Scene, news: dict[int, News]) -> None:
        for incident in self.open:
            of = news[incident.number]
            back = [moved for moved in incident.moved if moved not in of.joined and moved.rest(scene)]
            incident.moved = [moved for moved in incident.moved if moved not in back]
            of.back += back


def _name(scene: Scene, known: list[int]) -> list[Moved]:
    """Name columns that have changed; those that were named before this window are no news."""
    others = [column for column in range(len(scene.weighted)) if column not in known]
    least = 1 if others and alarming(scene.weighted[others], scene.log_budget) else 0
    if not least and not known:
        return []
    return [Moved.named(scene, column) for column in named(scene.weighted, scene.log_budget, known, least)]


def _material(scene: Scene, incident: Incident) -> bool:
    """Whether people are to be told now: when the first column is materially away, and if the severity grows."""
    material = [moved for moved in incident.moved if moved.material(scene)]
    if not material:
        return False
    severity: Severity = "warning" if sentences.kind(scene, material) == "prediction" else "watch"
    if any(moved.broken(scene) for moved in material):
        severity = "critical"
    if incident.material and not worse(severity, incident.severity):
        return False
    incident.material, incident.severity = True, severity
    return True


def _tell(scene: Scene, news: News) -> Iterator[Alert]:
    """Tell of one incident what is new; what was said before is not said again."""
    incident, left = news.incident, news.back + news.onward
    told: Reach = "chat" if incident.material else "list"
    if not incident.moved:
        text = sentences.farewell(scene, news.back, news.onward, news.homes)
        yield alert(scene, incident, "close", told, text, left)
        return
    text = sentences.headline(scene, incident, news.further, news.part, news.crossed)
    if news.opened and news.material:  # One event, not two that say the same.
        yield alert(scene, incident, "open", "page", text, worse=True)
    elif news.opened:
        yield alert(scene, incident, "open", "list", text + sentences.immaterial(scene, incident.moved))
    elif news.material:
        yield alert(scene, incident, "update", "page", text, worse=True)
    elif (news.joined or news.further or news.part or news.crossed) and not news.opened:
        yield alert(scene, incident, "update", told, text, worse=bool(news.joined or news.further))
    elif left:
        text += f"; {sentences.farewell(scene, news.back, news.onward, news.homes)}"
        yield alert(scene, incident, "update", told, text)
    elif incident.last is not None and _answers_known(scene, incident, incident.last):
        yield alert(scene, incident, "update", told, text)
    elif not news.opened:
        return
    for moved in incident.moved:
        parts = [(part.name, list(part.cells)) for part in moved_parts(scene, moved)]
        moved.remember(moved.present(scene), moved_levels(scene, moved), parts)


def _answers_known(scene: Scene, incident: Incident, last: Alert) -> bool:
    """Whether it is known by now what became of the model's answers, where it was unclear when it was told."""
    unclear = {effect.name for effect in last.predictions if effect.word == "unclear"}
    if not unclear or incident.base is None or any(column.role == "prediction" for column in last.columns):
        return False
    return all(effect.word != "unclear" for effect in prediction_effects(scene, incident.base))


def _elsewhere(scene: Scene, incident: Incident, moved: Moved) -> bool:
    """Whether a column's latest change is another story than the incident that names it."""
    if _together(scene, incident, moved) or moved.returning(scene) or moved.same_way(scene):
        return False
    return moved.elsewhere(scene)


def _together(scene: Scene, incident: Incident, moved: Moved) -> bool:
    """Whether a change is of an incident's time: change points within two windows, or half their age."""
    age = scene.number - min(incident.start, moved.start)
    return abs(incident.start - moved.start) <= max(TOGETHER_WINDOWS, age / 2)
