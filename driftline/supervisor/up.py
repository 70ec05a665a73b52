"""`driftline up`: the whole system in the foreground."""

import signal
import threading
from contextlib import suppress

import typer

from driftline.roles import run_file
from driftline.settings import Settings
from driftline.supervisor.processes import RoleError
from driftline.supervisor.startup import Progress, Spoken
from driftline.supervisor.system import Interrupted, System
from streams.private import cache_folder

_LOOK_S = 0.2


def run(settings: Settings) -> None:
    """Run the system in the foreground until SIGINT or SIGTERM.

    Raises
    ------
    RoleError
        A role does not come up, or a tree over the same data directory runs already.
    """
    progress = Spoken()
    try:
        if other := run_file.read(settings.data_dir):
            raise RoleError(
                f"process {other['pid']} runs over {settings.data_dir} already; stop it with `driftline down`"
            )
    except run_file.RunFileError as error:  # whatever runs here holds its ports and the broker's folder
        progress.note(f"{error}: it is written anew now")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with suppress(Interrupted), System(settings, progress=progress, stopping=stop.is_set) as system:
        _start(system, progress)
        with suppress(OSError):  # where our output goes may be full
            typer.echo(f"ready: {system.status()['page']}    Ctrl-C stops it")
        before = None
        while not stop.wait(_LOOK_S):
            system.tree.look()
            system.room.lacks()
            if (now := system.tree.states()) != before and system.write_run_file():
                before = now


def _start(system: System, progress: Progress) -> None:
    """Start the roles beside the broker: most of their start is Python's imports, which wait for nothing."""
    settings = system.settings
    parts = [*(["broker"] if settings.embedded_kafka else []), "store", "worker", "monitor", "page"]
    progress.note(f"starting {', '.join(parts)}; data and logs in {settings.data_dir}")
    system.write_run_file()
    if settings.embedded_kafka:
        _have_jars(progress)
    system.start_broker()
    system.start_roles()
    system.start_log()
    system.wait_ready()


def _have_jars(progress: Progress) -> None:
    """Download Kafka here, where people see it, and not in the broker's log."""
    from driftline.broker import jars

    if not (cache_folder() / jars.folder_name()).is_dir():
        progress.note(f"  fetching Apache Kafka {jars.KAFKA_VERSION} (45 MB, once)")
        jars.fetch()
