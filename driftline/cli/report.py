"""Evidently's report, for those who know it."""

from pathlib import Path
from typing import Annotated

import typer

from driftline.cli.bars import bars
from driftline.cli.options import AsJson, File, echo_json, load, say


def report(
    reference_data: Annotated[
        Path | None, typer.Option(help="Training table: Evidently compares rows, and a reference keeps none.")
    ] = None,
    incident: Annotated[str | None, typer.Option(help="From its change point to its latest event.")] = None,
    model: Annotated[str | None, typer.Option(help="Or the rows of a model, with --from.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Event time, as in 2026-11-21T09:30:00Z.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Event time; default now.")] = None,
    version: Annotated[str | None, typer.Option(help="Default: the one that answered most.")] = None,
    out: Annotated[Path | None, typer.Option(help="File; default report-NAME.html.")] = None,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Write Evidently's report of live rows or an incident."""
    if (incident is None) == (model is None) or (model is not None and start is None):
        raise typer.BadParameter("name an incident, --incident churn-3; or a stretch, --model churn --from 2026-11-21")
    if reference_data is None:
        raise typer.BadParameter(
            "Evidently compares rows with rows, and a reference keeps none: give the table that the model was trained "
            "on, --reference-data train.parquet"
        )
    with bars() as on_progress:
        on_progress("fetching the rows, asking Evidently", 0, None)
        settings = load(file)
        from drift.analysis.report.evidently_process import EvidentlyProcess

        with EvidentlyProcess() as evidently:  # it imports Evidently while we import the rest and fetch the rows
            from drift.store import Store
            from driftline.commands import report as reporting
            from driftline.roles import parts

            store = Store.connect(parts.store_settings(settings))
            if incident is not None:
                stretch = reporting.of_incident(store, incident)
            else:
                assert model is not None and start is not None
                stretch = reporting.of_model(store, model, start, end, version)
            name = out or Path(f"report-{incident or model}.html")
            written = reporting.write(settings, store, stretch, reference_data, name, evidently)
    if as_json:
        echo_json({**written._asdict(), **stretch._asdict()})
        return
    say(
        f"written: {written.file}   {_of(written.rows_compared, written.rows)} rows, "
        f"against {_of(written.training_rows_compared, written.training_rows)} of the training table"
    )


def _of(some: int, all_: int) -> str:
    """Write a sample's size.

    >>> _of(20_000, 68_785), _of(500, 500)
    ('a sample of 20,000 of 68,785', '500')
    """
    return f"{some:,}" if some == all_ else f"a sample of {some:,} of {all_:,}"
