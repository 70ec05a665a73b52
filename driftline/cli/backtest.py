"""Backtests over files."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from driftline.cli.bars import bars
from driftline.cli.options import AsJson, File, echo_json, load, progress, say
from driftline.commands.terminal import aligned

if TYPE_CHECKING:
    import pandas as pd

    from driftline.commands.backtest import Ran

_COLUMNS_SHOWN = 8


def backtest(
    reference: Annotated[Path, typer.Option(help="reference.arrow; or a package's folder, which scores the rows.")],
    stream: Annotated[Path, typer.Option(help="Rows in the order in which they came, Parquet or CSV.")],
    labels: Annotated[Path | None, typer.Option(help="Labels, with one column to join by.")] = None,
    rows_per_window: Annotated[int, typer.Option(min=1, help="Rows of a window.")] = 500,
    window: Annotated[str | None, typer.Option(help="Or its length, as in 1min or 1h; needs --time.")] = None,
    time: Annotated[str | None, typer.Option(help="Column of event times.")] = None,
    timezone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="By whose calendar windows begin, as in Europe/Berlin; else UTC.")
    ] = None,
    false_alarm_every: Annotated[float | None, typer.Option(min=1, help="Windows between false incidents.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write an HTML summary.")] = None,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Say what a table would have set off, had it been live."""
    budget = {} if false_alarm_every is None else {"false_alarm_every": false_alarm_every}
    progress(f"running {stream} against {reference}")
    with bars() as on_progress:
        from driftline.commands.backtest import run
        from driftline.roles import parts

        settings = load(file)
        ran = run(
            reference,
            stream,
            labels=labels,
            rows_per_window=rows_per_window,
            window=window,
            time=time,
            timezone=timezone,
            watch=parts.watch(settings, **budget),
            on_progress=lambda done, total: on_progress("rows", done, total),
        )
    if out is not None:
        from drift.analysis.report.summary import summary

        title = f"Backtest of {stream.name} against {reference}"
        html = summary(ran.reference, ran.result, ran.stream, watch=ran.watch, title=title, facts=ran.facts)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(html, "utf-8")
    echo_json(_plain(ran)) if as_json else _say(ran)
    if out is not None:
        say(f"written: {out}", err=as_json)


def _plain(ran: "Ran") -> dict[str, Any]:
    def rows(frame: Any) -> list[dict[str, Any]]:
        return [{k: None if v != v else v for k, v in row.items()} for row in frame.to_dict("records")]

    return {
        "rows": ran.stream.num_rows,
        "windows": ran.result.reports["window"].nunique(),
        "incidents": rows(ran.incidents),
        "events": rows(ran.result.alerts),
        "columns": rows(ran.columns),
        "facts": ran.facts,
    }


def _say_incident(row: Mapping[Hashable, Any], events: "pd.DataFrame") -> None:
    """An incident's headline, and what else was told of it, in order."""
    from dashboards import words

    paged = "paged" if row["paged"] is not None else "told" if row["told"] is not None else "recorded"
    state = "open" if row["closed"] is None else f"closed in window {row['closed']}"
    say(f"\n  {row['incident']}   {row['severity']}, {paged}, from window {row['opened']}, {state}")
    say(f"    {row['text']}")
    for event in events[events["text"] != row["text"]].to_dict("records"):
        did = words.step(event["event"], "", event["reach"], event["page"])
        say(f"    {did} in window {event['window']}: {event['text']}")


def _say(ran: "Ran") -> None:
    from drift.analysis.report import tables
    from drift.reference.row_order import LEARNING_WINDOWS

    incidents, columns = ran.incidents, ran.columns
    say(tables.sentence(ran.result, incidents, ran.stream.num_rows))
    if ran.reference.order == "unknown":
        say(
            f"  the order of the reference's rows is unknown: columns are judged from window {LEARNING_WINDOWS} on, "
            "once those before have shown how much windows differ (`reference build --time COLUMN` knows it at once)"
        )
    if partial := int(ran.result.reports.drop_duplicates("window")["partial"].sum()):
        say(f"  {partial} windows that the stream began or ended in were not judged")
    for row in incidents.to_dict("records"):
        _say_incident(row, ran.result.alerts[ran.result.alerts["incident"] == row["incident"]])
    rows = [
        (
            row["column"],
            f"{row['statistic'].upper()} {row['effect']:.3f}",
            f"{row['tolerance']:g}",
            str(row["window"]),
            f"{row['windows_drifted']:,}",
        )
        for row in columns.head(_COLUMNS_SHOWN).to_dict("records")
    ]
    headings = ("column", "worst effect", "tolerance", "window", "drifted in")
    say("\n" + "\n".join(aligned([headings, *rows], numbers=(1, 2, 3, 4), indent=2)))
    if len(columns) > _COLUMNS_SHOWN:
        say(f"  and {len(columns) - _COLUMNS_SHOWN} more columns")
    figures = tables.performance(ran.result.performance, ran.reference.expected_performance)
    for row in figures.to_dict("records"):
        shown = ", ".join(f"{k} {row[k]:.3g}" for k in ("reference", "estimated", "realised") if row[k] == row[k])
        say(f"  {row['metric']}: {shown} (mean of the windows)")
    for warning in ran.reference.warnings:
        say(f"  note: {warning}")
