"""The topics of this deployment."""

import typer

from driftline.cli.options import AsJson, File, echo_json, group, load

app = group("Create and check the topics.")


@app.command()
def create(file: File = None, as_json: AsJson = False) -> None:
    """Create the topics that are missing."""
    from driftline import compose
    from streams import provision

    settings = load(file)
    made = provision.create(compose.answering(settings), compose.layout(settings))
    echo_json(made) if as_json else typer.echo("\n".join(made) or "nothing to create")


@app.command()
def check(file: File = None, as_json: AsJson = False) -> None:
    """Say what is wrong with the topics; exit code 1 if anything is."""
    from driftline import compose
    from streams import provision

    wrong = provision.check(compose.answering(load(file)))
    echo_json(wrong) if as_json else typer.echo("\n".join(wrong) or "all is well")
    raise typer.Exit(1 if wrong else 0)
