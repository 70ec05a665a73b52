"""References: built from a table, shown, checked."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli.bars import bars
from driftline.cli.options import (
    AsJson,
    File,
    Holdout,
    RowOrder,
    Segments,
    Task,
    Time,
    echo_json,
    group,
    load,
    names,
    say,
)
from driftline.commands.terminal import aligned

if TYPE_CHECKING:
    from drift.reference.reference import Reference

app = group("References: what windows are compared with.")

Built = Annotated[Path, typer.Argument(help="reference.arrow, or a package's folder.")]


@app.command()
def build(
    data: Annotated[Path | None, typer.Option(help="Training table, Parquet or CSV.")] = None,
    from_store: Annotated[str, typer.Option(metavar="TABLE", help="Or a table of the store, profiled there.")] = "",
    order_by: Annotated[str, typer.Option(metavar="A,B,...", help="Columns that order its rows.")] = "",
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("reference.arrow"),
    task: Annotated[Task | None, typer.Option(help="What the model does.")] = None,
    score: Annotated[str | None, typer.Option(help="Column with scores.")] = None,
    prediction: Annotated[str | None, typer.Option(help="Column with predicted classes.")] = None,
    label: Annotated[str | None, typer.Option(help="Column with the truth.")] = None,
    positive: Annotated[str | None, typer.Option(help="Label that the score is the probability of.")] = None,
    features: Annotated[str, typer.Option(metavar="A,B,...", help="Features; else all that can be.")] = "",
    exclude: Annotated[str, typer.Option(metavar="A,B,...", help="Columns to leave out.")] = "",
    segments: Segments = "",
    time: Time = None,
    order: RowOrder = None,
    holdout: Holdout = None,
    in_sample: Annotated[
        bool, typer.Option("--in-sample", help="The model has learnt from these rows: no loss is judged by them.")
    ] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="Write it though its own halves differ.")] = False,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Profile a table; refuse one whose own halves differ."""
    if (data is None) == (not from_store):
        raise typer.BadParameter("give --data FILE or --from-store TABLE, one of them")
    with bars() as on_progress:
        on_progress(f"profiling {data or from_store}", 0, None)
        from driftline.commands import references
        from driftline.roles import parts

        if data is None:
            table = references.in_store(parts.store_settings(load(file)), from_store, names(order_by))
        reference = references.build(
            table if data is None else data,
            out,
            anyway=anyway,
            task=task,
            score=score,
            prediction=prediction,
            label=label,
            positive=positive,
            features=names(features) or None,
            exclude=names(exclude),
            segments=names(segments),
            time=time,
            order=order,
            holdout=holdout,
            in_sample=in_sample,
        )
    notes = [*reference.notes, *filter(None, [references.assumed_order(reference, time, order, from_store)])]
    if as_json:
        echo_json({"file": out, "id": reference.id, "rows": reference.rows, "notes": notes})
        return
    for note in notes:
        say(f"note: {note}")
    say(f"written: {out}   {reference.id}   {reference.rows:,} rows, {len(reference.columns)} columns")


@app.command()
def show(file: Built, as_json: AsJson = False) -> None:
    """Say what a reference holds."""
    reference = _read(file)
    from driftline.commands import references

    columns = references.columns(reference)
    if as_json:
        facts = {"id": reference.id, "rows": reference.rows, "task": reference.task, "label": reference.label}
        more = {
            "performance": reference.performance,
            "checks": reference.checks,
            "notes": reference.notes,
            "order": reference.order,
            "held_out_rows": reference.held_out_rows,
            "in_sample": reference.in_sample,
            "classes": reference.classes,
            "positive": reference.positive,
        }
        echo_json({**facts, "columns": columns, **more})
        return
    say(f"reference {reference.id}   {reference.rows:,} rows   {reference.task or 'columns only'}")
    rows = [
        (column.name, column.kind, str(column.cells), f"{100 * column.null_rate:.3g} %", column.content)
        for column in columns
    ]
    headings = ("column", "kind", "cells", "null", "range, or levels by frequency")
    say("\n".join(aligned([headings, *rows], numbers=(2, 3))))
    if reference.performance:
        figures = ", ".join(f"{k} {v:.3g}" for k, v in reference.performance.items())
        say(f"on {references.judged_rows(reference)}: {figures}")
    for note in (*reference.notes, *filter(None, [references.doubt(reference)])):
        say(f"note: {note}")


@app.command()
def check(file: Built, as_json: AsJson = False) -> None:
    """Exit 1 if a reference's own halves differ."""
    reference = _read(file)
    from driftline.commands import references

    if as_json:
        echo_json({"id": reference.id, "columns": reference.checks})
    elif doubt := references.doubt(reference):
        say(f"{file}: {doubt}")
    else:
        say(f"{file}: its halves are alike in all {len(reference.columns)} columns")
    raise typer.Exit(1 if reference.checks else 0)


def _read(file: Path) -> "Reference":
    with bars() as on_progress:
        on_progress(f"reading {file}", 0, None)
        from driftline.commands import references

        return references.read(file)
