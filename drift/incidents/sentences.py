"""Sentences: what an incident says, to be read aloud at three in the morning."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from drift.incidents.changed_column import Moved, faults
from drift.incidents.changed_levels import moved_levels, moved_parts
from drift.incidents.closed_window import Scene
from drift.incidents.predictions import DISTANCES, NAMES, clause, prediction_effects
from drift.incidents.spelling import IN_REFERENCE, from_to, listed, number, percent
from streams.wire.records import IncidentKind, MovedLevel

if TYPE_CHECKING:
    from drift.incidents.incident import Incident

#: What a column is once all of its values are of one fault.
_BROKEN = {
    "null": "is gone",
    "unseen": "has only unknown levels, perhaps of another type or spelling",
    "out-of-range": "is out of its range",
}


def headline(
    scene: Scene,
    incident: "Incident",
    further: Sequence[Moved] = (),
    part: Sequence[Moved] = (),
    crossed: Sequence[Moved] = (),
) -> str:
    """Say what moved most, how, since when, what else moved, and what became of the model's answers.

    Parameters
    ----------
    further, part, crossed
        Columns that have moved on since they were told, that have come back in part, and that have come back and
        beyond: they come first.
    """
    ordered = sorted(incident.moved, key=lambda moved: -moved.effect(scene).value / scene.tolerance(moved.column))
    broken = [moved for moved in ordered if moved.broken(scene)]
    news = broken or [moved for moved in ordered if moved in (*further, *part, *crossed)]
    ordered = news + [moved for moved in ordered if moved not in news]
    first = ordered[0]
    did = "is still moving" if first in further else "moved"
    if first in part:
        did = "has come back in part"
    if first in crossed:
        did = "has come back, and beyond"
    if broken:
        did = _BROKEN.get(first.broken(scene), "holds no finite number")
    text = f"{name(scene, first)} {did}: {how(scene, first)} since {_since(scene, first, did)}"
    if first in (*further, *part, *crossed) and not broken:
        text += before(scene, first)
    if ordered[1:]:
        text += f"; {listed([name(scene, moved) for moved in ordered[1:]])} moved, too"
    return text + answers(scene, incident)


def _since(scene: Scene, moved: Moved, did: str) -> str:
    """Say since when a column is where it is: its latest change, and the first where there were others before.

    What is still moving, or on its way back, has been at it since its first change.
    """
    if did != "moved" or moved.change_point == moved.since:
        return scene.say(moved.since)
    return f"{scene.say(moved.change_point)}, after a first change at {scene.say(moved.since)}"


def before(scene: Scene, moved: Moved) -> str:
    """Say where the levels that a column is told by stood when it was told last; empty where it never was."""
    if moved.told is None or not moved.told.sum():
        return ""
    cells = [cell for part in moved_parts(scene, moved) for cell in part.cells]
    return f" ({percent(float(moved.told[cells].sum() / moved.told.sum()))} when last reported)"


def immaterial(scene: Scene, several: Sequence[Moved]) -> str:
    """Say that no effect is above its tolerance for certain; empty where one is."""
    if any(moved.material(scene) for moved in several):
        return ""
    moved = max(several, key=lambda moved: moved.effect(scene).value / scene.tolerance(moved.column))
    effect, tolerance = moved.effect(scene), scene.tolerance(moved.column)
    what = "below" if effect.high < tolerance else "not yet certainly above"
    low, high = number(effect.low), number(effect.high)
    size = f"at most {high}" if low == "0" else f"{low} to {high}"
    return f"; the {DISTANCES[effect.statistic]} is {size}, {what} the tolerance of {number(tolerance)}"


def farewell(scene: Scene, back: Sequence[Moved], onward: Sequence[Moved], homes: Mapping[int, str]) -> str:
    """Say which columns are back and what had happened to them, and which have gone on to an incident of their own.

    Parameters
    ----------
    homes
        Name of the incident that names a column now.
    """
    said = []
    if back:
        had = "; ".join(filter(None, (_had(scene, moved) for moved in back)))
        names = listed([name(scene, moved) for moved in back])
        since = {moved.change_point for moved in back if moved.began is not None}
        when = f" since {scene.say(min(since))}" if len(since) == 1 else ""
        said.append(f"{names} {_be(back)} back to normal{when}{': ' + had if had else ''}")
    if onward:
        names, others = listed([name(scene, m) for m in onward]), sorted({homes[m.column] for m in onward})
        said.append(f"{names} moved again, in another way: see incident{'s' * (len(others) > 1)} {listed(others)}")
    return "; ".join(said)


def _had(scene: Scene, moved: Moved) -> str:
    """Say what had happened to a column, as it was told."""
    if not moved.levels:
        return ""
    subject, was, now = _change(scene, moved, moved.levels)
    verb = "risen" if now > was else "fallen"
    return f"{subject} had {verb} from {percent(was)} to {percent(now)} since {scene.say(moved.since)}"


def answers(scene: Scene, incident: "Incident") -> str:
    """Say what became of the model's answers since the change; empty where they are named themselves."""
    reference, base = scene.baseline.reference, incident.moved[0].base if incident.base is None else incident.base
    if any(reference.columns[moved.column].role == "prediction" for moved in incident.moved):
        return ""
    return clause(prediction_effects(scene, base))


def how(scene: Scene, moved: Moved) -> str:
    """Say which levels rose or fell, or which side of an edge did."""
    subject, was, now = _change(scene, moved, moved_levels(scene, moved))
    return f"{subject} {'rose' if now > was else 'fell'} {from_to('share', was, now, IN_REFERENCE)}"


def _change(scene: Scene, moved: Moved, levels: Sequence[MovedLevel]) -> tuple[str, float, float]:
    """What moved, and its share in the reference and when it had moved."""
    was, now = sum(level.reference for level in levels), sum(level.current for level in levels)
    return _subject(scene, moved, levels), was, now


def _subject(scene: Scene, moved: Moved, levels: Sequence[MovedLevel]) -> str:
    cells = scene.baseline.reference.columns[moved.column]
    names = [level.level for level in levels]
    special = faults(cells).keys() | ({cells.labels[cells.other]} if cells.other is not None else set())
    if special.issuperset(names):
        return f"{listed(names)} values"
    if cells.kind == "numeric":
        return f"the share of values {names[0]}"
    return f"level{'s' if len(names) > 1 else ''} {listed(names)}"


def kind(scene: Scene, several: Sequence[Moved]) -> IncidentKind:
    """What an incident is about: predictions before features, features before the quality of the data."""
    columns = scene.baseline.reference.columns
    if any(columns[moved.column].role == "prediction" for moved in several):
        return "prediction"
    return "quality" if all(_wrong(scene, moved) for moved in several) else "feature"


def _wrong(scene: Scene, moved: Moved) -> bool:
    """Whether a column's change is about values that should not be."""
    cells = scene.baseline.reference.columns[moved.column]
    return {level.level for level in moved_levels(scene, moved)} <= faults(cells).keys()


def name(scene: Scene, moved: Moved) -> str:
    """Name of a moved column, as people say it."""
    found = scene.baseline.reference.columns[moved.column]
    return NAMES.get(found.name, found.name) if found.role == "prediction" else found.name


def _be(several: Sequence[Moved]) -> str:
    return "is" if len(several) == 1 else "are"
