"""Rows of a file as requests."""

from pathlib import Path
from typing import Annotated

import typer

from driftline.cli.bars import bars
from driftline.cli.options import AsJson, File, echo_json, load, say


def produce(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Parquet, CSV or JSON lines.")],
    model: Annotated[str, typer.Option(help="Model that answers; needed where several serve.")] = "",
    rate: Annotated[float | None, typer.Option(help="Messages a second at the most.", min=0.1)] = None,
    rows: Annotated[int | None, typer.Option(help="Stop after so many rows.", min=1)] = None,
    id_column: Annotated[str | None, typer.Option("--id", metavar="COLUMN", help="Ids of the requests.")] = None,
    time_column: Annotated[
        str | None, typer.Option("--time", metavar="COLUMN", help="Event times: timestamps, or milliseconds.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Keys of the messages: one key, one partition, in order.")
    ] = None,
    exclude: Annotated[str, typer.Option(metavar="A,B", help="Columns that are not sent.")] = "",
    labels: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="True answers, sent as feedback after the requests; needs --id."),
    ] = None,
    feedback: Annotated[bool, typer.Option("--feedback", help="Send the labels alone.")] = False,
    backfill: Annotated[
        bool,
        typer.Option("--backfill", help="The rows are past: send them in order of --time, all partitions in step."),
    ] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for the answers.")] = False,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Send the rows of a file as requests, and say what became of them; exit code 1 if one was not answered."""
    with bars() as on_progress:
        on_progress("asking what serves", 0, None)
        from driftline.commands import produce as work
        from driftline.roles import parts

        settings = load(file)
        wanted = ["produce"] * (not feedback) + ["produce --feedback"] * (feedback or labels is not None)
        cluster = parts.answering(settings, *wanted)
    plan = work.Plan(
        path=path,
        model=model,
        rate=rate,
        rows=rows,
        id=id_column,
        time=time_column,
        key=key,
        exclude=tuple(name.strip() for name in exclude.split(",") if name.strip()),
        labels=labels,
        feedback=feedback,
        backfill=backfill,
    )
    notes = work.check(cluster, plan, [topic.model for topic in settings.watch_topics])
    for note in notes:
        say(f"driftline: {note}", err=True)
    with bars() as on_progress:
        # A note says that requests will wait: then the command does not wait for answers.
        sent = work.produce(cluster, plan, on_progress, follow=not (no_wait or (notes and not backfill)))
    echo_json(sent) if as_json else say(work.summary(sent))
    raise typer.Exit(0 if sent.complete else 1)
