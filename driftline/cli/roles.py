"""One role in the foreground, as a container runs it. Each command brings only what its role needs."""

from pathlib import Path
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


def inference_worker(
    served: Annotated[list[str], typer.Argument(metavar="MODEL@VERSION...", help="Versions to serve.")],
    file: File = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    grpc_port: Annotated[int, typer.Option(help="Port of gRPC; 0 takes a free one.", min=0, max=65_535)] = 18_070,
    http_port: Annotated[
        int,
        typer.Option(help="Port of HTTP, /livez, /readyz and /metrics; 0 takes a free one.", min=0, max=65_535),
    ] = 18_071,
    device: Annotated[str | None, typer.Option(help="Where models run; default: the setting score.device.")] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="Certificate (PEM) of this server.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    shared_memory: Annotated[
        bool, typer.Option("--shared-memory", help="Read tensors that clients of this machine and user share.")
    ] = False,
) -> None:
    """Serve models to anybody's client: Open Inference Protocol v2, without Kafka."""
    from driftline.roles import inference_worker as role
    from inference.oip.listening import Listening

    listening = Listening(host, grpc_port, http_port, tls_certificate, tls_key, shared_memory)
    role.run(load(file, score__device=device), served, listening)


def _slot(slot: str | None) -> str:
    from streams.runtime.slots import check_slot, default_slot

    if slot is None:
        return default_slot()
    try:
        return check_slot(slot)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
