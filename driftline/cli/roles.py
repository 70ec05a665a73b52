"""One role in the foreground, as a container runs it. Each command brings only what its role needs."""

from typing import Annotated

import typer

from driftline.cli.options import File, load

Slot = Annotated[
    str | None,
    typer.Option(help="Name of this process among those of its role, stable over restarts; default: the host's name."),
]
Port = Annotated[int | None, typer.Option(help="Port of /livez, /readyz, /metrics, /status.")]


def broker(
    file: File = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Only download what it needs.")] = False,
) -> None:
    """Run the embedded Kafka broker."""
    from driftline.roles import broker as role

    role.fetch() if fetch else role.run(load(file, kafka__port=port))


def worker(file: File = None, slot: Slot = None, port: Port = None) -> None:
    """Score requests."""
    from driftline.roles import worker as role

    settings = load(file)
    role.run(settings, _slot(slot), port or settings.roles.port)


def monitor(file: File = None, slot: Slot = None, port: Port = None) -> None:
    """Watch predictions."""
    from driftline.roles import monitor as role

    settings = load(file)
    role.run(settings, _slot(slot), port or settings.roles.port)


def store(file: File = None, slot: Slot = None, port: Port = None) -> None:
    """Keep statistics: the sink, and the embedded engine."""
    from driftline.roles import store as role

    settings = load(file)
    role.run(settings, _slot(slot), port or settings.roles.port)


def page(file: File = None) -> None:
    """Serve the built-in page."""
    from driftline.roles import page as role

    role.run(load(file))


def _slot(slot: str | None) -> str:
    from streams.runtime.slots import check_slot, default_slot

    if slot is None:
        return default_slot()
    try:
        return check_slot(slot)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
