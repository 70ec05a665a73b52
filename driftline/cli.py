"""The command line. Results go to stdout, progress and errors to stderr; exit codes: 0 ok, 1 failed, 2 usage."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from driftline import settings as reading
from driftline.lifeline import die_with_parent
from driftline.settings import Settings, SettingsError

app = typer.Typer(
    name="driftline",
    help="Put a model on a Kafka topic, and know when to stop trusting it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
settings_app = typer.Typer(help="Show the settings.", no_args_is_help=True)
topics_app = typer.Typer(help="Create and check the topics.", no_args_is_help=True)
dashboards_app = typer.Typer(help="Grafana files: build, check, push.", no_args_is_help=True)
app.add_typer(settings_app, name="settings")
app.add_typer(topics_app, name="topics")
app.add_typer(dashboards_app, name="dashboards")

File = Annotated[Path | None, typer.Option("--settings", help="Settings file; default driftline.toml.")]
Slot = Annotated[str, typer.Option(help="Name of this process among those of its role; stable over restarts.")]
Port = Annotated[int | None, typer.Option(help="Port of /livez, /readyz, /metrics, /status.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]


def main() -> None:
    """Run the command line; a refusal of ours is one line, not a trace."""
    if parent := os.environ.get("DRIFTLINE_PARENT"):
        die_with_parent(int(parent))
    try:
        app()
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("driftline", "streams", "inference", "drift", "dashboards"):
            raise
        typer.echo(f"driftline: {error}", err=True)
        sys.exit(2 if isinstance(error, SettingsError) else 1)


def _load(file: Path | None = None, **flags: Any) -> Settings:
    return reading.load({key.replace("__", "."): value for key, value in flags.items()}, file)


@app.command()
def broker(
    file: File = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Only download what it needs.")] = False,
) -> None:
    """Run the embedded Kafka broker in the foreground."""
    from driftline.roles import broker as role

    role.fetch() if fetch else role.run(_load(file, kafka__port=port))


@app.command()
def worker(file: File = None, slot: Slot = "0", port: Port = None) -> None:
    """Score requests: one role in the foreground."""
    from driftline.roles import worker as role

    settings = _load(file)
    role.run(settings, slot, port or settings.roles.port)


@app.command()
def monitor(file: File = None, slot: Slot = "0", port: Port = None) -> None:
    """Watch predictions: one role in the foreground."""
    from driftline.roles import monitor as role

    settings = _load(file)
    role.run(settings, slot, port or settings.roles.port)


@app.command()
def store(file: File = None, slot: Slot = "0", port: Port = None) -> None:
    """Keep statistics: the embedded engine (unless clickhouse.url is set) and the sink."""
    from driftline.roles import store as role

    settings = _load(file)
    role.run(settings, slot, port or settings.roles.port)


@app.command()
def page(file: File = None) -> None:
    """Serve the built-in page."""
    from driftline.roles import page as role

    role.run(_load(file))


@settings_app.command("show")
def settings_show(file: File = None, as_json: AsJson = False) -> None:
    """Print every setting with its value and where that came from."""
    rows = [{"key": key, "value": value, "origin": origin} for key, value, origin in reading.origins(None, file)]
    if as_json:
        typer.echo(msgspec.json.encode(rows, enc_hook=str))
        return
    for row in rows:
        typer.echo(f"{row['key']:<36} {row['value']!s:<32} {row['origin']}")


@topics_app.command("create")
def topics_create(file: File = None, as_json: AsJson = False) -> None:
    """Create the topics that are missing."""
    from driftline import compose
    from streams import provision

    settings = _load(file)
    made = provision.create(compose.cluster(settings), compose.layout(settings))
    typer.echo(msgspec.json.encode(made) if as_json else "\n".join(made) or "nothing to create")


@topics_app.command("check")
def topics_check(file: File = None, as_json: AsJson = False) -> None:
    """Say what is wrong with the topics; exit code 1 if anything is."""
    from driftline import compose
    from streams import provision

    wrong = provision.check(compose.cluster(_load(file)))
    typer.echo(msgspec.json.encode(wrong) if as_json else "\n".join(wrong) or "all is well")
    raise typer.Exit(1 if wrong else 0)


@dashboards_app.command("build")
def dashboards_build(out: Path = Path("docker/grafana")) -> None:
    """Write the Grafana files."""
    from dashboards.grafana import build

    for path in build(out):
        typer.echo(path)


@dashboards_app.command("check")
def dashboards_check(out: Path = Path("docker/grafana")) -> None:
    """Say which Grafana files differ from the panels; exit code 1 if any does."""
    from dashboards.grafana import check

    wrong = check(out)
    typer.echo("\n".join(wrong) or "equal")
    raise typer.Exit(1 if wrong else 0)


@dashboards_app.command("push")
def dashboards_push(
    url: Annotated[str, typer.Option(help="Address of your Grafana.")],
    token: Annotated[str, typer.Option(help="Reference to a service account token: env:NAME or file:PATH.")],
) -> None:
    """Send dashboards and alert rules to a Grafana."""
    from dashboards.push import push
    from streams.cluster import open_reference

    typer.echo(push(url, open_reference(token)))


@app.command()
def demo(
    rate: Annotated[int, typer.Option(help="Requests a second.", min=1)] = 5_000,
    rows: Annotated[int | None, typer.Option(help="Stop after so many requests.", min=1)] = None,
    broken_every: Annotated[int, typer.Option(help="Break one request in so many; 0 breaks none.", min=0)] = 0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the whole system on real data, in about a minute and a half, and sum up."""
    from driftline.demo.run import run

    summary = run(_load(), rows_per_s=rate, rows=rows, broken_every=broken_every, keep=keep)
    if as_json:
        typer.echo(msgspec.json.encode(summary))
    raise typer.Exit(0 if summary["complete"] else 1)


@app.command()
def up(file: File = None) -> None:
    """Run all roles in one process tree until Ctrl-C; what ends is started again."""
    from driftline.up import run

    run(_load(file))


@app.command()
def down(file: File = None) -> None:
    """Stop what `up` runs, and wait until it is gone."""
    from driftline.up import stop

    typer.echo("stopped" if stop(_load(file).data_dir) else "nothing runs here")


@app.command()
def status(file: File = None, as_json: AsJson = False) -> None:
    """Say what `up` runs: addresses, roles, pids; exit code 1 if nothing runs."""
    from driftline.up import read_run_file

    found = read_run_file(_load(file).data_dir)
    if as_json:
        typer.echo(msgspec.json.encode(found))
    elif found:
        for name in ("kafka", "clickhouse", "page"):
            typer.echo(f"{name:<12} {found[name]}")
        for name, role in found["roles"].items():
            typer.echo(f"{name:<12} {role['state']:<12} pid {role['pid']}, {role['restarts']} restarts")
    else:
        typer.echo("nothing runs here; `driftline up` starts it")
    raise typer.Exit(0 if found else 1)
