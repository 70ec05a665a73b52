"""What the judge has found."""

from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli.options import AsJson, File, echo_json, group, load

if TYPE_CHECKING:
    from drift.store import Store

app = group("Incidents: list, show.")


def _store(file: File) -> "Store":
    from drift.store import Store
    from driftline import compose

    return Store(compose.store_settings(load(file)))


@app.command("list")
def list_incidents(
    model: Annotated[str, typer.Option(help="Only this model's.")] = "",
    only_open: Annotated[bool, typer.Option("--open", help="Only those that are open.")] = False,
    limit: Annotated[int, typer.Option(help="How many, the newest.", min=1)] = 20,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """List the newest incidents."""
    from driftline import incidents

    found = incidents.incidents(_store(file), model, not only_open, limit)
    echo_json(found) if as_json else typer.echo("\n".join(incidents.table(found)))


@app.command()
def show(
    incident: Annotated[str, typer.Argument(metavar="ID", help="Name of the incident, such as churn-2.")],
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Say what happened, since when, and what to do."""
    from driftline import incidents

    told = incidents.story(_store(file), incident)
    echo_json(told) if as_json else typer.echo("\n".join(incidents.full(told)))
