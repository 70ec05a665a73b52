"""The settings, as they are."""

import typer

from driftline import settings as reading
from driftline.cli.options import AsJson, File, echo_json, group

app = group("Show the settings.")


@app.callback()
def about() -> None:
    """Show the settings."""


@app.command()
def show(file: File = None, as_json: AsJson = False) -> None:
    """Print every setting with its value and where that came from."""
    rows = [{"key": key, "value": value, "origin": origin} for key, value, origin in reading.origins(None, file)]
    if as_json:
        echo_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['key']:<36} {row['value']!s:<32} {row['origin']}")
