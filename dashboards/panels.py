"""The one list of panels: what each asks, in which unit, from which query, drawn how, and what to do about it.

The built-in page and the Grafana dashboards are both made from it, so a title, a unit, a threshold or a query
exists once. A panel belongs to one level; the levels link downwards: fleet, model, column, incident; and pipeline.
"""

from importlib import resources
from typing import Literal

import msgspec

Level = Literal["fleet", "model", "column", "incident", "pipeline"]
Drawing = Literal["table", "map", "lines", "evidence", "effect", "performance", "fan", "bars", "steps", "ages"]
Unit = Literal["", "rows", "rows/s", "share", "evidence", "ratio", "effect", "score", "s", "ms"]


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One question and its answer.

    Parameters
    ----------
    name
        Unique; the query is ``queries/NAME.sql``.
    level
        Where it is shown.
    title
        A few words.
    question
        What it answers; the title's tooltip.
    todo
        What to do when it looks bad; shown beside the question.
    drawing
        ``table``; ``map`` (columns x time, shaded); ``lines`` (one a series); ``steps`` (stacked counts); ``fan``
        (quantiles over time); ``bars`` (reference against current); ``evidence`` (powers of ten, with the budget);
        ``effect`` and ``performance`` (a value with its interval, and the line that it is held against); ``ages`` (what
        is expected by an age, and how it stands).
    unit
        Of the values.
    columns
        Names of what the query returns, in order.
    threshold
        A fixed line, in the unit; None where the query returns it (``tolerance``, ``budget``) or there is none.
    height
        Of the drawing, in pixels; 0 for a table.
    """

    name: str
    level: Level
    title: str
    question: str
    todo: str
    drawing: Drawing
    columns: tuple[str, ...]
    unit: Unit = ""
    threshold: float | None = None
    height: int = 210

    @property
    def sql(self) -> str:
        """The query, with Grafana's macros and variables in it."""
        return resources.files("dashboards").joinpath("queries", f"{self.name}.sql").read_text()


_BAND = ("low", "high")

PANELS: tuple[Panel, ...] = (
    Panel(
        name="fleet",
        level="fleet",
        title="Models",
        question="Which model needs me?",
        todo="Open the first row: the worst model stands on top.",
        drawing="table",
        columns=(
            *("model", "versions", "rows", "first_row", "last_row", "moved", "watched", "open_incidents", "severity"),
            *("page", "incident", "since", "text", "parts", "metric", "estimated", "realised", *_BAND, "reference"),
            *("coverage", "outside", "evidence", "budget"),
        ),
    ),
    Panel(
        name="fleet_traffic",
        level="fleet",
        title="Traffic",
        question="Which models are being asked, and how much?",
        todo="A model that fell silent: look at its producer, then at the lag on the pipeline page.",
        drawing="lines",
        unit="rows",
        columns=("time", "model", "rows"),
    ),
    Panel(
        name="drift_map",
        level="model",
        title="Drift map",
        question="Which columns moved, since when, and by how much of what is tolerated?",
        todo="Open the column that turned orange first; columns that turned together usually share a cause.",
        drawing="map",
        unit="ratio",
        threshold=1.0,
        columns=("time", "column", "role", "ratio", "effect", "tolerance", "statistic", "n", "drifted"),
        height=0,
    ),
    Panel(
        name="evidence",
        level="model",
        title="Evidence against the budget",
        question="How sure is it that something changed? Above the line an incident opens.",
        todo="Below the line nothing is wrong. Above it, read the effect: evidence says whether, never how much.",
        drawing="evidence",
        unit="evidence",
        columns=("time", "kind", "evidence"),
    ),
    Panel(
        name="score",
        level="model",
        title="Scores",
        question="Do the model's answers still look the way they did?",
        todo="Scores that move while inputs stand still: look for a new version or a broken feature upstream.",
        drawing="fan",
        unit="score",
        columns=("time", "p05", "p25", "p50", "p75", "p95"),
    ),
    Panel(
        name="performance",
        level="model",
        title="Performance",
        question="Does it hurt? Realised from the labels that came, estimated from the scores.",
        todo="Realised below the reference, interval clear of it: retrain or roll back. Estimated alone: wait.",
        drawing="performance",
        unit="score",
        columns=(
            "time",
            "metric",
            "realised",
            *_BAND,
            "estimated",
            "reference",
            "coverage",
            "outside",
            "estimated_outside",
            "tolerance",
        ),
    ),
    Panel(
        name="lag_curve",
        level="model",
        title="Labels by age",
        question="Do labels come as they used to? The line is the share of predictions with a label by an age.",
        todo="Points below the line: labels are late or lost. Set `label_wait_ms_max` to the age where it turns flat.",
        drawing="ages",
        unit="share",
        columns=("age", "labels", "expected", "covered", "rows"),
    ),
    Panel(
        name="traffic",
        level="model",
        title="Traffic",
        question="How many requests does each version answer?",
        todo="A version that should serve and does not: look at the routes, then at the pipeline page.",
        drawing="steps",
        unit="rows",
        columns=("time", "version", "rows"),
    ),
    Panel(
        name="incidents",
        level="model",
        title="Incidents",
        question="What has happened to this model?",
        todo="Open an incident for its columns, its cost and the commands to run.",
        drawing="table",
        columns=(
            *("incident", "kind", "severity", "page", "opened", "updated", "closed", "change_point", "columns"),
            *("evidence", "text", "predictions", "parts"),
        ),
    ),
    Panel(
        name="versions",
        level="model",
        title="Versions and routes",
        question="Who answers?",
        todo="Change the routes with `driftline model route`, `promote` or `rollback`.",
        drawing="table",
        columns=("version", "route", "rows", "share", "first_row", "last_row", "mean_score"),
    ),
    Panel(
        name="column_cells",
        level="column",
        title="Reference against current",
        question="Which cells or levels gained and lost? Largest difference first.",
        todo="One level gone or new: ask who produces it. All cells shifted: look for a change of unit or source.",
        drawing="bars",
        unit="share",
        columns=("cell", "reference", "current", "difference"),
        height=0,
    ),
    Panel(
        name="column_effect",
        level="column",
        title="Effect",
        question="How far is the column from its reference, and is that more than we tolerate?",
        todo="The band above the dashed line is a move that matters. A band that straddles it needs more rows.",
        drawing="effect",
        unit="effect",
        columns=("time", "effect", *_BAND, "tolerance", "statistic", "n", "evidence"),
    ),
    Panel(
        name="column_rollups",
        level="column",
        title="Effect by hour and by day",
        question="Does the move last, once the noise of single windows is gone?",
        todo="An hour above the tolerance while the day is below it has just begun, or was an hour's only.",
        drawing="lines",
        unit="effect",
        columns=("time", "length", "effect"),
    ),
    Panel(
        name="column_distances",
        level="column",
        title="Distances",
        question="What does every distance say, as it is computed, with nothing taken off for chance?",
        todo="Decide by the effect. psi means little until it is well above psi_bias, its size when nothing has moved.",
        unit="effect",
        drawing="lines",
        columns=("time", "statistic", "distance"),
    ),
    Panel(
        name="column_quality",
        level="column",
        title="Quality",
        question="How many values are missing, never seen before, or out of their range?",
        todo="A rate that jumped belongs to the producer: open a ticket there before retraining here.",
        drawing="lines",
        unit="share",
        columns=("time", "rate", "share"),
    ),
    Panel(
        name="examples",
        level="column",
        title="Example rows",
        question="What do such requests look like now?",
        todo="Follow one id to its producer.",
        drawing="table",
        columns=("time", "id", "version", "score", "prediction", "value"),
    ),
    Panel(
        name="incident",
        level="incident",
        title="Time line",
        question="What happened when?",
        todo="Start at the change point: what was deployed, loaded or switched between its two ends?",
        drawing="table",
        columns=(
            *("time", "event", "model", "version", "segment", "kind", "severity", "page", "change_point"),
            *("change_point_low", "change_point_high", "window_start", "window_end", "evidence", "budget"),
            *("reference", "text", "opinions", "reach", "act", "predictions", "parts"),
        ),
    ),
    Panel(
        name="incident_columns",
        level="incident",
        title="Columns by evidence",
        question="Which columns moved, and how far?",
        todo="Open the first column; it carries the most evidence.",
        drawing="table",
        columns=(
            *("column", "role", "statistic", "effect", *_BAND, "tolerance", "evidence", "n", "change_point"),
            "levels",
        ),
    ),
    Panel(
        name="incident_orders",
        level="incident",
        title="Retraining",
        question="Was a new model ordered?",
        todo="Orders stand on the topic `retraining`, for whatever trains your models to read.",
        drawing="table",
        columns=("time", "order", "version", "columns", "since", "until", "reason"),
    ),
    Panel(
        name="incident_cost",
        level="incident",
        title="What it costs",
        question="How did the model do before the change, and how since?",
        todo="A realised loss clear of the reference justifies a roll-back tonight; anything less can wait.",
        drawing="table",
        columns=(
            "metric",
            "reference",
            "realised_before",
            "realised_after",
            "estimated_before",
            "estimated_after",
            "coverage",
        ),
    ),
    Panel(
        name="rates",
        level="pipeline",
        title="Rows a minute",
        question="Does every station of the path keep up with the one before it?",
        todo="The first line that falls is where the trouble is; look at that role's log.",
        drawing="lines",
        unit="rows",
        columns=("time", "station", "rows"),
    ),
    Panel(
        name="delays",
        level="pipeline",
        title="Behind",
        question="How far behind the requests is each station, in seconds of event time?",
        todo="Reports lag by one window and the allowed lateness; anything that grows needs another worker.",
        drawing="table",
        unit="s",
        columns=("station", "newest", "behind_s"),
    ),
    Panel(
        name="dead_letters",
        level="pipeline",
        title="Dead letters",
        question="What was refused, and why?",
        todo="`driftline dead-letters show` prints the bytes; `redrive` sends them again once the cause is mended.",
        drawing="table",
        columns=("stage", "reason", "rows", "last", "example"),
    ),
)


def at_level(level: Level) -> tuple[Panel, ...]:
    """The panels of a level, in reading order."""
    return tuple(panel for panel in PANELS if panel.level == level)


def named(name: str) -> Panel:
    """The panel of that name.

    >>> named("drift_map").title
    'Drift map'
    """
    return next(panel for panel in PANELS if panel.name == name)
