"""Two plain clients of the log: one reads the predictions, the other what the judge says and what labels met."""

import threading
from abc import ABC, abstractmethod
from collections import Counter

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.demo.traffic import People
from streams.clock import now_ms
from streams.kafka.cluster import Cluster
from streams.wire.block import SWEPT
from streams.wire.records import Alert, ColumnReport, Order, Report


class Client(threading.Thread, ABC):
    """Reads topics from their beginning until told to stop."""

    def __init__(self, cluster: Cluster, name: str, topics: tuple[str, ...]) -> None:
        super().__init__(name=name, daemon=True)
        self._cluster = cluster
        self._topics = topics
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Read."""
        consumer = self._cluster.consumer(self.name, **{"auto.offset.reset": "earliest"})
        consumer.subscribe([self._cluster.topic(name) for name in self._topics])
        while not self._stop_asked.is_set():
            for message in consumer.consume(2_000, 0.05):
                if message.error() is None and message.key() != SWEPT:
                    self.receive(self._cluster.logical(message.topic()), message.value())
        consumer.close()

    @abstractmethod
    def receive(self, topic: str, value: bytes) -> None:
        """Take one message."""

    def stop(self) -> None:
        """Stop."""
        self._stop_asked.set()


class Reader(Client):
    """Reads `predictions`: which, how often, how late."""

    def __init__(self, cluster: Cluster, sent_ms: NDArray[np.float64]) -> None:
        super().__init__(cluster, "demo-reader", ("predictions",))
        self.ids: Counter[str] = Counter()
        self._sent_ms = sent_ms
        self._recent_ms: list[float] = []
        self._decode = msgspec.json.Decoder(_Id).decode

    def receive(self, topic: str, value: bytes) -> None:  # noqa: ARG002
        """Count a prediction."""
        id_ = self._decode(value).id
        self.ids[id_] += 1
        self._recent_ms.append(now_ms() - self._sent_ms[int(id_)])

    def p99_ms(self) -> float:
        """Request sent to prediction read, since the last call."""
        recent, self._recent_ms = self._recent_ms, []
        return float(np.percentile(recent, 99)) if recent else 0.0


class Watcher(Client):
    """Reads `reports`, `alerts`, `retraining` and `outcomes`; ``news`` are lines to print."""

    def __init__(self, cluster: Cluster, people: People) -> None:
        super().__init__(cluster, "demo-watcher", ("reports", "alerts", "retraining", "outcomes"))
        self.outcomes = 0
        self.alerts: list[Alert] = []
        self.orders: list[Order] = []
        self.news: list[str] = []
        self._people = people
        self._latest: Report | None = None

    def receive(self, topic: str, value: bytes) -> None:
        """Take what was said."""
        match topic:
            case "outcomes":
                self.outcomes += 1
            case "reports":
                report = msgspec.json.decode(value, type=Report)
                if self._latest is None or report.window_start >= self._latest.window_start:
                    self._latest = report
            case "alerts":
                self._alert(msgspec.json.decode(value, type=Alert))
            case _:
                order = msgspec.json.decode(value, type=Order)
                self.orders.append(order)
                self.news.append(f"retraining ordered: {order.model}, because of {order.incident}")

    def worst(self) -> ColumnReport | None:
        """The column that has moved most for its tolerance, in the latest window."""
        if self._latest is None:
            return None
        return max(self._latest.columns, key=lambda column: column.effect / column.tolerance)

    def first_told(self) -> Alert | None:
        """The first alert that went further than the lists."""
        alerts = (alert for alert in self.alerts if alert.reach != "list")
        return min(alerts, key=lambda alert: alert.ts, default=None)

    def _known(self, alert: Alert) -> bool:
        """Whether people know of an incident as they would by this alert."""
        known = (a for a in self.alerts if a.incident == alert.incident and a.reach != "list")
        return any(a.page or not alert.page for a in known)

    def _alert(self, alert: Alert) -> None:
        first = alert.event != "close" and alert.reach != "list" and not self._known(alert)
        self.alerts.append(alert)
        if first:
            low, at, high = (
                self._people.row_at(ms) for ms in (alert.change_point_low, alert.change_point, alert.change_point_high)
            )
            self.news += [
                f"{'PAGE' if alert.page else 'TOLD'} {alert.severity}: {alert.text}",
                f"  since row {at:,} ({low:,}-{high:,})",
            ]
        elif alert.event != "update":
            what = ", ".join(column.name for column in alert.columns) or alert.text
            self.news.append(f"incident {alert.incident} {'opened' if alert.event == 'open' else 'closed'}: {what}")


class _Id(msgspec.Struct):
    id: str
