"""The Grafana files."""

from pathlib import Path
from typing import Annotated

import typer

from driftline.cli.options import AsJson, echo_json, group

app = group("Grafana files: build, check, push.")


@app.command("build")
def build_files(out: Path = Path("docker/grafana"), as_json: AsJson = False) -> None:
    """Write the Grafana files."""
    from dashboards.grafana import build

    paths = [str(path) for path in build(out)]
    echo_json(paths) if as_json else typer.echo("\n".join(paths))


@app.command("check")
def check_files(out: Path = Path("docker/grafana"), as_json: AsJson = False) -> None:
    """Say which Grafana files differ from the panels; exit code 1 if any does."""
    from dashboards.grafana import check

    wrong = check(out)
    echo_json(wrong) if as_json else typer.echo("\n".join(wrong) or "equal")
    raise typer.Exit(1 if wrong else 0)


@app.command("push")
def push_files(
    url: Annotated[str, typer.Option(help="Address of your Grafana.")],
    token: Annotated[str, typer.Option(help="Reference to a service account token: env:NAME or file:PATH.")],
) -> None:
    """Send dashboards and alert rules to a Grafana."""
    from dashboards.push import push
    from streams.cluster import open_reference

    typer.echo(push(url, open_reference(token)))
