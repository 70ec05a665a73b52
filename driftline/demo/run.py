"""The demo from its first line to its summary."""

import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import typer

from drift.store import Store
from driftline import compose
from driftline.demo import model as demo_model
from driftline.demo.traffic import Reader, Sender
from driftline.settings import Settings
from driftline.up import System
from inference import Registry
from streams import ranges
from streams.clock import now_ms
from streams.cluster import Cluster
from streams.dead_letters import PREFIX
from streams.records import Alert, Order, Report, Route
from streams.routes import announce

_QUIET_S = 20.0


class Watcher(threading.Thread):
    """Reads what the judge says."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(name="demo-watcher", daemon=True)
        self.worst: Report | None = None
        self.alerts: list[Alert] = []
        self.orders: list[Order] = []
        self.news: list[str] = []
        self._cluster = cluster
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Read until told to stop."""
        consumer = self._cluster.consumer("demo-watcher", **{"auto.offset.reset": "earliest"})
        consumer.subscribe([self._cluster.topic(name) for name in ("reports", "alerts", "retraining")])
        while not self._stop_asked.is_set():
            for message in consumer.consume(500, 0.1):
                if message.error() is None:
                    self._take(self._cluster.logical(message.topic()), message.value())
        consumer.close()

    def _take(self, topic: str, value: bytes) -> None:
        if topic == "reports":
            report = msgspec.json.decode(value, type=Report)
            if self.worst is None or report.window_start >= self.worst.window_start:
                self.worst = report
        elif topic == "alerts":
            alert = msgspec.json.decode(value, type=Alert)
            paged = alert.page and not any(a.page and a.incident == alert.incident for a in self.alerts)
            self.alerts.append(alert)
            named = " ".join(column.name for column in alert.columns)
            if paged:
                self.news += [f"PAGE {alert.severity}: {named}", f"  {alert.text}"]
            elif alert.event != "update":
                self.news.append(f"incident {alert.incident} {alert.event}: {named}")
        else:
            order = msgspec.json.decode(value, type=Order)
            self.orders.append(order)
            self.news.append(f"  retraining ordered ({order.incident})")

    def stop(self) -> None:
        """Stop."""
        self._stop_asked.set()


def run(
    settings: Settings, *, rows_per_s: int = 5_000, rows: int | None = None, broken_every: int = 0, keep: bool = False
) -> dict[str, Any]:
    """Run the demo; returns its summary, in which ``complete`` says that nothing is lost, doubled or disturbed."""
    say = typer.echo
    say("driftline demo    employment: 2015 reference, 2016-2018 stream")
    with tempfile.TemporaryDirectory(prefix="driftline-demo-") as folder:
        home = Path(folder)
        settings = settings.model_copy(update={"data_dir": home, "registry": str(home / "models")})
        with System(settings, any_port=True) as system:
            took = system.start_log()
            say(f"  broker   Apache Kafka            {system.status()['kafka']:<22} {took:.1f} s")
            system.start_store()
            began = time.perf_counter()
            auc, trained = demo_model.build(home / "package")
            Registry(settings.registry).add(home / "package")
            cluster = compose.cluster(system.resolved())
            watch = compose.watch(settings)
            announce(
                cluster, lambda book: Route(model=demo_model.NAME, epoch=0, ts=now_ms(), champion="v1", watch=watch)
            )
            seconds = time.perf_counter() - began
            say(f"  model    employment v1           {trained:,} rows, AUC {auc:.3f}   {seconds:.1f} s")
            system.start_rest()
            system.wait_ready()
            say(f"  store    ClickHouse engine       {system.status()['clickhouse']}")
            say(f"  page     {system.status()['page']}")
            summary = _stream(system, cluster, Sender(cluster, rows_per_s, rows, broken_every))
            if keep:
                say("\nrunning until Ctrl-C ...")
                _keep(system)
    return summary


def _keep(system: System) -> None:
    try:
        while True:
            system.tree.look()
            time.sleep(0.2)
    except KeyboardInterrupt:
        typer.echo("stopping ...")


def _stream(system: System, cluster: Cluster, sender: Sender) -> dict[str, Any]:
    reader, watcher = Reader(cluster, sender), Watcher(cluster)
    threads = (reader, watcher, sender)
    for thread in threads:
        thread.start()
    try:
        typer.echo("      rows     rate     p99   worst column")
        _follow(system, sender, reader, watcher)
        return _summary(system, cluster, sender, reader, watcher)
    finally:
        for thread in threads:
            thread.stop()
            thread.join(10)


def _follow(system: System, sender: Sender, reader: Reader, watcher: Watcher) -> None:
    """A line a second until every prediction is read and the judge has nothing more to say."""
    before, moved = 0, time.monotonic()
    while len(reader.ids) < sender.good or _lag(system):
        time.sleep(1.0)
        system.tree.look()
        done = len(reader.ids)
        if done > before:
            moved = time.monotonic()
            typer.echo(f"{done:>10,} {done - before:>8,} {reader.p99_ms():>5.0f} ms   {_worst(watcher)}")
        elif time.monotonic() - moved > _QUIET_S:
            typer.echo(
                f"nothing new for {_QUIET_S:.0f} s; the roles' logs are in {system.settings.data_dir}/logs", err=True
            )
            return
        before = done
        news, watcher.news = watcher.news, []
        for line in news:
            typer.echo(f"  {line}")


def _lag(system: System) -> int:
    said = [system.ask(name) for name in ("monitor", "store")]
    return sum(step["lag_rows"] or 0 for one in said if one for step in one["steps"])


def _stored(system: System, wanted: int) -> int:
    """Rows in ClickHouse, when all have come or none has come for a while."""
    store = Store.connect(compose.store_settings(system.resolved()))
    found, since = 0, time.monotonic()
    while True:
        before, found = found, int(store.rows("SELECT count() FROM predictions")[0][0])
        since = time.monotonic() if found > before else since
        if found >= wanted or time.monotonic() - since > _QUIET_S:
            return found
        time.sleep(0.2)


def _worst(watcher: Watcher) -> str:
    if watcher.worst is None:
        return ""
    worst = max(watcher.worst.columns, key=lambda column: column.effect / column.tolerance)
    return f"{worst.name:<6} {worst.statistic} {worst.effect:.3f}   evidence {worst.evidence:.2g}"


def _summary(system: System, cluster: Cluster, sender: Sender, reader: Reader, watcher: Watcher) -> dict[str, Any]:
    letters = _reasons(cluster)
    predictions = sum(reader.ids.values())
    lost, doubled = sender.good - len(reader.ids), predictions - len(reader.ids)
    stored = _stored(system, sender.good)
    first = min((alert for alert in watcher.alerts if alert.page), key=lambda alert: alert.ts, default=None)
    typer.echo(
        f"  {sender.total:,} requests, {predictions:,} predictions, {stored:,} rows in ClickHouse, "
        f"{letters.total():,} dead letters, {lost:,} lost, {doubled:,} doubled (read back from Kafka and ClickHouse)"
    )
    for reason, count in sorted(letters.items()):
        typer.echo(f"    {count:>6,} {reason}")
    if first:
        typer.echo(f"  first page: {first.text}")
    return {
        "requests": sender.total,
        "predictions": predictions,
        "stored": stored,
        "dead_letters": dict(letters),
        "broken": dict(sender.broken),
        "lost": lost,
        "doubled": doubled,
        "first_page": [column.name for column in first.columns] if first else [],
        "orders": len(watcher.orders),
        "complete": lost == doubled == 0 and stored == sender.good and letters == sender.broken,
    }


def _reasons(cluster: Cluster) -> Counter[str]:
    """Dead letters by reason, read whole."""
    return Counter(
        dict(headers or [])[PREFIX + "reason"].decode()
        for block in ranges.read_all(cluster, "dead-letters")
        for headers in block.headers
    )
