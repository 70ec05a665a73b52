"""Sentences: what an incident says, to be read aloud at three in the morning."""

from collections.abc import Sequence

from drift.cells import SCORE
from drift.incidents.levels import moved_levels
from drift.incidents.moved import Moved, faults
from drift.incidents.scene import Scene
from drift.incidents.spelling import listed, number, percent
from streams.records import IncidentKind, MovedLevel

_SHORT = {"ks": "D", "tvd": "TVD"}
#: What a column is once all of its values are of one fault.
_BROKEN = {
    "null": "is gone",
    "unseen": "has other levels, of another type or spelling",
    "out-of-range": "is out of its range",
}


def headline(scene: Scene, several: Sequence[Moved]) -> str:
    """Say what moved most, how, since when, what else moved, and whether the score did."""
    ordered = sorted(several, key=lambda moved: -moved.effect(scene).value / scene.tolerance(moved.column))
    broken = [moved for moved in ordered if moved.broken(scene)]
    ordered = broken + [moved for moved in ordered if moved not in broken]
    did = _BROKEN.get(broken[0].broken(scene), "holds no finite number") if broken else "moved"
    text = f"{name(scene, ordered[0])} {did}: {how(scene, ordered[0])} since {scene.say(ordered[0].change_point)}"
    if ordered[1:]:
        text += f"; also {listed([name(scene, moved) for moved in ordered[1:]])}"
    return text + score(scene, ordered)


def immaterial(scene: Scene, several: Sequence[Moved]) -> str:
    """Say that no effect is above its tolerance for certain; empty where one is."""
    if any(moved.material(scene) for moved in several):
        return ""
    moved = max(several, key=lambda moved: moved.effect(scene).value / scene.tolerance(moved.column))
    effect, tolerance = moved.effect(scene), scene.tolerance(moved.column)
    what = "below" if effect.value < tolerance else "not yet surely above"
    return f"; {_SHORT[effect.statistic]} {number(effect.value)}, {what} the tolerance of {number(tolerance)}"


def farewell(scene: Scene, back: Sequence[Moved], onward: Sequence[Moved]) -> str:
    """Say which columns are back, and which have gone on to an incident of their own."""
    said = []
    if back:
        said.append(f"{listed([name(scene, m) for m in back])} {_be(back)} back, within half the tolerance")
    if onward:
        said.append(f"{listed([name(scene, m) for m in onward])} {_have(onward)} changed again: another incident")
    return "; ".join(said)


def remaining(scene: Scene, several: Sequence[Moved]) -> str:
    """Say which columns an incident still names."""
    return f"; {listed([name(scene, moved) for moved in several])} {_have(several)} not"


def score(scene: Scene, several: Sequence[Moved]) -> str:
    """Say how the score has fared since the change; empty where it is named itself or there is none."""
    reference = scene.yard.reference
    if reference.score is None or any(reference.columns[moved.column].role == "prediction" for moved in several):
        return ""
    column = reference.place(SCORE)
    cells = scene.yard.cells(column)
    effect = scene.yard.effect(column, scene.detector.counts[cells] - several[0].base[cells])
    tolerance = scene.tolerance(column)
    verdict = "moved too" if effect.low > tolerance else "unchanged" if effect.value <= tolerance else "unclear"
    return f"; score {verdict} (D {number(effect.value)})"


def how(scene: Scene, moved: Moved) -> str:
    """Say which levels rose or fell, or which side of an edge did."""
    levels = moved_levels(scene, moved)
    was, now = sum(level.reference for level in levels), sum(level.current for level in levels)
    verb = "rose" if now > was else "fell"
    return f"{_subject(scene, moved, levels)} {verb} from {percent(was)} to {percent(now)}"


def _subject(scene: Scene, moved: Moved, levels: Sequence[MovedLevel]) -> str:
    cells = scene.yard.reference.columns[moved.column]
    names = [level.level for level in levels]
    special = faults(cells).keys() | ({cells.labels[cells.other]} if cells.other is not None else set())
    if special.issuperset(names):
        return f"{listed(names)} values"
    if cells.kind == "numeric":
        return f"values {names[0]}"
    return f"level{'s' if len(names) > 1 else ''} {listed(names)}"


def kind(scene: Scene, several: Sequence[Moved]) -> IncidentKind:
    """What an incident is about: predictions before features, features before the quality of the data."""
    columns = scene.yard.reference.columns
    if any(columns[moved.column].role == "prediction" for moved in several):
        return "prediction"
    return "quality" if all(_wrong(scene, moved) for moved in several) else "feature"


def _wrong(scene: Scene, moved: Moved) -> bool:
    """Whether a column's change is about values that should not be."""
    cells = scene.yard.reference.columns[moved.column]
    return {level.level for level in moved_levels(scene, moved)} <= faults(cells).keys()


def name(scene: Scene, moved: Moved) -> str:
    """Name of a moved column."""
    return scene.yard.reference.columns[moved.column].name


def _be(several: Sequence[Moved]) -> str:
    return "is" if len(several) == 1 else "are"


def _have(several: Sequence[Moved]) -> str:
    return "has" if len(several) == 1 else "have"
