"""The demo from its first line to its last."""

import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import typer
from rich.console import Console

from drift.store import Store
from driftline.broker.jars import KAFKA_VERSION
from driftline.demo import model
from driftline.demo.clients import Reader, Watcher
from driftline.demo.summary import Summary, read_back
from driftline.demo.traffic import People, Sender
from driftline.roles import parts
from driftline.settings import Settings
from driftline.supervisor.system import System
from inference import Registry
from streams.clock import now_ms
from streams.routes import announce
from streams.wire.records import Route

_QUIET_S = 60.0
_REPLAY = "driftline replay --from {}"
_HEAD = "      rows    rate       p99   worst column           evidence   labels"


def run(*, rows_per_s: int = 5_000, rows: int | None = None, broken_every: int = 0, keep: bool = False) -> Summary:
    """Run the demo and sum up. It has settings of its own: nobody's cluster is touched.

    Parameters
    ----------
    rows_per_s
        Requests a second, at most.
    rows
        Requests in all, from the beginning of the stream; None for all of it.
    broken_every
        One request in so many is broken; 0 breaks none.
    keep
        After the summary leave the system running until Ctrl-C.
    """
    typer.echo("driftline demo    employment: 2015 reference, 2016-2018 stream")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing stays behind
    with tempfile.TemporaryDirectory(prefix="driftline-demo-") as folder:
        home = Path(folder)
        settings = Settings(data_dir=home, registry=str(home / "models"))
        with System(settings, any_port=True) as system:
            _start(system, home)
            people = People(rows, broken_every)
            summary = _stream(system, people, rows_per_s)
            if keep:
                _keep(system)
            else:
                typer.echo(
                    f"  next:  driftline demo --keep    leaves it running: then {_REPLAY.format('-1m')}, or the page"
                )
    return summary


def _start(system: System, home: Path) -> None:
    """Bring everything up, and train the model meanwhile."""
    waiting = Console(stderr=True)  # prints nothing where nobody looks
    with waiting.status("starting the broker"):
        seconds = system.start_log()
    _line("broker", f"Apache Kafka {KAFKA_VERSION}", system.status()["kafka"], seconds)
    began = time.perf_counter()
    system.start_roles()
    with waiting.status("training the model"):
        auc, trained = model.build(home / "package")
    Registry(system.settings.registry).add(home / "package")
    _line("model", f"{model.NAME} v1", f"trained on {trained:,} rows, AUC {auc:.3f}", time.perf_counter() - began)
    cluster = parts.cluster(system.resolved())
    watch = parts.watch(system.settings)
    with waiting.status("starting the roles"):
        announce(cluster, lambda book: Route(model=model.NAME, epoch=0, ts=now_ms(), champion="v1", watch=watch))
        system.wait_ready()
        system.wait_serving(model.NAME)
    _line("store", "ClickHouse engine", system.status()["clickhouse"], time.perf_counter() - began)
    typer.echo(f"  page     {system.status()['page']}")


def _line(part: str, what: str, where: str, seconds: float) -> None:
    typer.echo(f"  {part:<8} {what:<22} {where:<40} {seconds:>5.1f} s")


def _stream(system: System, people: People, rows_per_s: int) -> Summary:
    cluster = parts.cluster(system.resolved())
    sent_ms = np.zeros(people.total)
    reader, watcher = Reader(cluster, sent_ms), Watcher(cluster, people)
    partitions = system.settings.kafka.partitions_requests
    answered, joined = lambda: len(reader.ids), lambda: watcher.outcomes
    sender = Sender(cluster, people, rows_per_s, partitions, sent_ms, answered=answered, joined=joined)
    threads = (reader, watcher, sender)
    for thread in threads:
        thread.start()
    try:
        typer.echo(_HEAD)
        _follow(system, people, reader, watcher)
        store = Store.connect(parts.store_settings(system.resolved()))
        summary = read_back(cluster, store, people, reader, watcher)
    finally:
        for thread in threads:
            thread.stop()
        for thread in threads:
            thread.join(10)
    for line in summary.lines():
        typer.echo(f"  {line}")
    return summary


def _follow(system: System, people: People, reader: Reader, watcher: Watcher) -> None:
    """A line a second until every prediction is read, every label joined, and the judge has nothing more to say."""
    wanted, before, moved = (people.good, len(people.labelled)), (0, 0), time.monotonic()
    while before != wanted or _behind(system):
        time.sleep(1.0)
        system.tree.look()
        now = len(reader.ids), watcher.outcomes
        if now != before:
            moved = time.monotonic()
            typer.echo(_progress(now[0], now[0] - before[0], now[1], reader, watcher))
        elif time.monotonic() - moved > _QUIET_S:
            logs = system.settings.data_dir / "logs"
            typer.echo(f"nothing new for {_QUIET_S:.0f} s; the roles' logs are in {logs}", err=True)
            break
        before = now
        _tell(watcher)
    _tell(watcher)


def _tell(watcher: Watcher) -> None:
    news, watcher.news = watcher.news, []
    for line in news:
        typer.secho(f"  {line}", bold=line.startswith(("PAGE", "TOLD")))


def _progress(done: int, new: int, labels: int, reader: Reader, watcher: Watcher) -> str:
    worst = watcher.worst()
    worst_column = (
        f"{worst.name:<8} {worst.statistic.upper():<4} {worst.effect:.3f}   {worst.evidence:>9.2g}" if worst else ""
    )
    return f"{done:>10,} {new:>7,} {reader.p99_ms():>6.0f} ms   {worst_column:<31}   {labels / max(done, 1):>4.0%}"


def _behind(system: System) -> bool:
    """Whether monitor or store have something left to read; one that is too busy to say so has."""
    reports = [system.ask(name) for name in ("monitor", "store")]
    return any(
        not (report and report["started"]) or any(step["lag_rows"] != 0 for step in report["steps"])
        for report in reports
    )


def _keep(system: System) -> None:
    """Leave it running; other commands find it by its settings file."""
    typer.echo(
        f"  next:  {system.status()['page']}\n"
        f"         export DRIFTLINE_SETTINGS={system.settings_file}    then, in that terminal:\n"
        f"         {_REPLAY.format('-1m')}    runs the last minute again: what would differ?\n"
        "         driftline incidents list    model list    status\n"
        "running until Ctrl-C ..."
    )
    with suppress(KeyboardInterrupt):
        while True:
            system.tree.look()
            system.write_run_file()  # for `status` and `doctor`
            time.sleep(0.2)
    typer.echo("stopping ...")
