"""Sentences about columns: what an incident says, to be read aloud at three in the morning."""

from collections.abc import Mapping, Sequence

from drift.incidents import column_moves as moves
from drift.incidents.changed_column import ChangedColumn
from drift.incidents.changed_levels import changed_levels, changed_parts, level_subject
from drift.incidents.closed_window import EvidenceWindow
from drift.incidents.column_faults import faults
from drift.incidents.incident import Incident
from drift.incidents.predictions import DISTANCES, NAMES, clause, prediction_effects
from drift.incidents.spelling import IN_REFERENCE, number, percent
from drift.incidents.text import Text, change, joined, names, since, subject, text, time
from streams.wire.records import MovedLevel

#: Other columns whose faults are said, and not only their names.
_FAULTS_MAX = 3
#: What a column is once all of its values are of one fault.
_BROKEN = {
    "null": "is gone",
    "unseen": "has only unknown levels, perhaps of another type or spelling",
    "out-of-range": "is out of its range",
}


def headline(
    window: EvidenceWindow,
    incident: Incident,
    further: Sequence[ChangedColumn] = (),
    part: Sequence[ChangedColumn] = (),
    crossed: Sequence[ChangedColumn] = (),
) -> Text:
    """Say what moved most, how, since when, what else moved, and what became of the model's answers.

    Parameters
    ----------
    window, incident
        The window, and the incident as it stands after it.
    further, part, crossed
        Columns that have moved on since they were told, that have come back in part, and that have come back and
        beyond: they come first.
    """
    ordered = sorted(incident.columns, key=lambda column: (column.unsettled(window), -_tolerances(window, column)))
    broken = [column for column in ordered if column.broken(window)]
    news = broken or [column for column in ordered if column in (*further, *part, *crossed)]
    first, *others = news + [column for column in ordered if column not in news]
    did = "is still moving" if first in further and not first.of_first_window else "moved"
    if first in part:
        did = "has come back in part"
    if first in crossed:
        did = "has come back, and beyond"
    if broken:
        did = _BROKEN.get(first.broken(window), "holds no finite number")
    if first.unsettled(window) and did == "moved":
        where = " is on its way back" if first.drifted(window) else " may be back to normal"
        what = text(where, since(first.change_point), ": ", _had(window, first))
        return text(subject(name(window, first)), what, _too(window, others), answers(window, incident))
    told_before = _before(window, first) if first in (*further, *part, *crossed) and not broken else ""
    return text(
        subject(name(window, first)),
        f" {did}: ",
        _how(window, first, changed_levels(window, first)),
        _since(first, did),
        told_before,
        _too(window, others),
        answers(window, incident),
    )


def immaterial(window: EvidenceWindow, several: Sequence[ChangedColumn]) -> Text:
    """Say that no effect is above its tolerance for certain; empty where one is."""
    named = [column for column in several if not column.unsettled(window)]
    if not named or any(moves.material(window, column) for column in named):
        return ()
    column = max(named, key=lambda column: _tolerances(window, column))
    effect, tolerance = column.effect(window), window.tolerance(column.index)
    what = "below" if effect.high < tolerance else "not yet certainly above"
    low, high = number(effect.low), number(effect.high)
    size = f"at most {high}" if low == "0" else f"{low} to {high}"
    return text(f"; the {DISTANCES[effect.statistic]} is {size}, {what} the tolerance of {number(tolerance)}")


def farewell(
    window: EvidenceWindow,
    back: Sequence[ChangedColumn],
    onward: Sequence[ChangedColumn],
    homes: Mapping[int, str],
) -> Text:
    """Say which columns are back and what had happened to them, and which have gone on to an incident of their own.

    Parameters
    ----------
    window
        The window in which they left.
    back, onward
        The columns.
    homes
        Name of the incident that names a column now.
    """
    clauses: list[Text] = []
    if back:
        dates = {column.change_point for column in back if column.began is not None}
        had = joined([_had(window, column) for column in back], "; ")
        be = "is" if len(back) == 1 else "are"
        clauses.append(
            text(
                names([name(window, column) for column in back]),
                f" {be} back to normal",
                since(min(dates)) if len(dates) == 1 else "",
                text(": ", had) if had else "",
            )
        )
    if onward:
        others = sorted({homes[column.index] for column in onward})
        see = f" moved again, in another way: see incident{'s' * (len(others) > 1)} "
        clauses.append(text(names([name(window, column) for column in onward]), see, names(others)))
    return joined(clauses, "; ")


def answers(window: EvidenceWindow, incident: Incident) -> Text:
    """Say what became of the model's answers since the change; empty where they are named themselves."""
    reference = window.baseline.reference
    base = incident.columns[0].base if incident.base is None else incident.base
    if any(reference.columns[column.index].role == "prediction" for column in incident.columns):
        return ()
    return clause(prediction_effects(window, base))


def _too(window: EvidenceWindow, others: Sequence[ChangedColumn]) -> Text:
    """Say which other columns moved; and of those that hold faulty values, which: a new level explains itself."""
    if not others:
        return ()
    moved = [(column, changed_levels(window, column)) for column in others]
    cells = window.baseline.reference.columns
    faulty = [
        text(f"in {name(window, column)}, ", _how(window, column, levels))
        for column, levels in moved
        if not column.unsettled(window) and {level.level for level in levels} <= faults(cells[column.index]).keys()
    ]
    listed = names([name(window, column) for column in others])
    return joined([text("; ", listed, " moved, too"), *faulty[:_FAULTS_MAX]], "; ")


def name(window: EvidenceWindow, column: ChangedColumn) -> str:
    """Name of a changed column, as people say it."""
    cells = window.baseline.reference.columns[column.index]
    return NAMES.get(cells.name, cells.name) if cells.role == "prediction" else cells.name


def _tolerances(window: EvidenceWindow, column: ChangedColumn) -> float:
    """A column's effect in tolerances."""
    return column.effect(window).value / window.tolerance(column.index)


def _since(column: ChangedColumn, did: str) -> Text:
    """Say since when a column is where it is: its latest change, and the first where there were others before.

    What is still moving, or on its way back, has been at it since its first change. So has what was first seen in the
    window that it began in: the next one shows its size, and no second change.
    """
    if did != "moved" or column.of_first_window or column.change_point == column.since:
        return text(since(column.since))
    return text(since(column.change_point), ", after a first change at ", time(column.since))


def _before(window: EvidenceWindow, column: ChangedColumn) -> str:
    """Say where the levels that a column is told by stood when it was told last; empty where it never was."""
    if column.reported is None or not column.reported.sum():
        return ""
    cells = [cell for part in changed_parts(window, column) for cell in part.cells]
    share = percent(float(column.reported[cells].sum() / column.reported.sum()))
    return f" ({share} {'in its first window, as reported' if column.of_first_window else 'when last reported'})"


def _how(window: EvidenceWindow, column: ChangedColumn, levels: Sequence[MovedLevel]) -> Text:
    """Say which levels rose or fell, or which side of an edge did."""
    what, was, now = _change(window, column, levels)
    return text(f"{what} {'rose' if now > was else 'fell'} ", change("share", was, now, IN_REFERENCE))


def _had(window: EvidenceWindow, column: ChangedColumn) -> Text:
    """Say what had happened to a column, as it was told."""
    if not column.levels:
        return ()
    what, was, now = _change(window, column, column.levels)
    verb = "risen" if now > was else "fallen"
    return text(f"{what} had {verb} from {percent(was)} to {percent(now)}", since(column.since))


def _change(window: EvidenceWindow, column: ChangedColumn, levels: Sequence[MovedLevel]) -> tuple[str, float, float]:
    """What moved, and its share in the reference and when it had moved."""
    was, now = sum(level.reference for level in levels), sum(level.current for level in levels)
    cells = window.baseline.reference.columns[column.index]
    return level_subject(cells, [level.level for level in levels]), was, now
