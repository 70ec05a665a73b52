"""The Grafana files."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli.options import AsJson, File, echo_json, group, load, say

if TYPE_CHECKING:
    from dashboards.grafana.source import Source

app = group("Grafana files: build, check, push.")

Folder = Annotated[Path, typer.Option(help="Folder of the Grafana files.")]


@app.command("build")
def build_files(out: Folder = Path("docker/grafana"), file: File = None, as_json: AsJson = False) -> None:
    """Write the Grafana files; the data source is what the settings name, else what Grafana's environment says."""
    from dashboards.grafana import build

    os.umask(0o022)  # Grafana reads them as another user, and none holds a secret
    paths = [str(path) for path in build(out, source=_of_settings(file))]
    echo_json(paths) if as_json else say("\n".join(paths))


@app.command("check")
def check_files(out: Folder = Path("docker/grafana"), file: File = None, as_json: AsJson = False) -> None:
    """Say which Grafana files differ from the panels; exit code 1 if any does."""
    from dashboards.grafana import check

    wrong = check(out, source=_of_settings(file))
    echo_json(wrong) if as_json else say("\n".join(wrong) or "equal")
    raise typer.Exit(1 if wrong else 0)


@app.command("push")
def push_files(
    url: Annotated[str, typer.Option(help="Address of your Grafana.")],
    token: Annotated[str, typer.Option(help="Reference to a service account token: env:NAME or file:PATH.")],
    datasource: Annotated[str, typer.Option(metavar="UID", help="Uid of the ClickHouse data source to ask.")] = "",
    datasource_url: Annotated[
        str, typer.Option(metavar="URL", help="Make it: clickhouse://user@host:9000/driftline, as Grafana reaches it.")
    ] = "",
    datasource_password: Annotated[str, typer.Option(help="Reference to its password: env:NAME or file:PATH.")] = "",
    as_json: AsJson = False,
) -> None:
    """Send dashboards and alert rules to a Grafana, and the data source that they ask if its address is given."""
    from dashboards.grafana.classic import DATASOURCE
    from dashboards.push import push
    from streams.secrets import open_reference

    done = push(
        url,
        open_reference(token),
        datasource=datasource or DATASOURCE,
        source=_source(datasource_url, "--datasource-url") if datasource_url else None,
        password=open_reference(datasource_password),
        look=True,
    )
    echo_json(done) if as_json else say("\n".join(done.lines(url)))


def _of_settings(file: Path | None) -> "Source | None":
    """The data source as the settings name it; None where they leave ClickHouse at its defaults."""
    from dashboards.grafana.source import Source
    from driftline.roles import parts

    settings = load(file)
    clickhouse = settings.clickhouse
    if clickhouse.url:
        return _source(clickhouse.url, "clickhouse.url")
    if clickhouse.model_fields_set & {"port", "database"}:
        where = parts.store_settings(settings, reads_only=True)
        password = "$__file{" + where.password_file + "}"
        return Source(where.host, where.port, where.user, where.database, password=password)
    return None


def _source(url: str, key: str) -> "Source":
    from dashboards.grafana.source import Source
    from drift.store import StoreSettings
    from driftline.settings import SettingsError

    try:
        where = StoreSettings.from_url(url)
    except ValueError as error:
        raise SettingsError(f"{key}: {error}") from None
    return Source(where.host, where.port, where.user, where.database, where.secure)
