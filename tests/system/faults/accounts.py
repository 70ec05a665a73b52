"""The accounts: every record of every topic, read as it comes, and what they must add up to.

Each request is one prediction or one dead letter; each prediction one observation, one row of the store, one count in
its minute; each label, however often it came and was corrected, holds once. What the judge said is what another judge
says who processes the same counts from the beginning: byte for byte, through whatever processes the first one has gone.
"""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import confluent_kafka as ck
import msgspec
import numpy as np

from drift.judge.stage import Judge
from drift.store import Store
from drift.store.report_rows import of_reports
from streams.kafka.cluster import Cluster
from streams.wire import observation
from streams.wire.block import SWEPT, Block
from streams.wire.records import MINUTE_MS, Outcome, PartialCounts, Prediction, Report

TOPICS = (
    "requests",
    "predictions",
    "observations",
    "dead-letters",
    "counts",
    "reports",
    "alerts",
    "retraining",
    "outcomes",
)
MODEL_ERRORS = (b"ValueError: x is unbearable", b"RuntimeError: the model is sick")
JUDGED = ("reports", "alerts", "retraining")

Place = tuple[int, int]


class Accounts:
    """Reads what the system writes, and says what does not add up.

    Parameters
    ----------
    cluster, store
        Where to look.
    judge
        A judge who has heard nothing yet.
    """

    def __init__(self, cluster: Cluster, store: Callable[[], Store], judge: Judge) -> None:
        self._cluster = cluster
        self._store = store
        self._judge = judge
        self._reader = cluster.reader()
        counts = self._reader.list_topics(timeout=15).topics
        places = [
            ck.TopicPartition(cluster.topic(topic), partition, 0)
            for topic in TOPICS
            for partition in counts[cluster.topic(topic)].partitions
        ]
        self._reader.assign(places)
        self.requests: dict[Place, tuple[str, int]] = {}  # id and event time by place
        self.unbearable: set[Place] = set()
        self.predicted: Counter[str] = Counter()
        self.observed: Counter[Place] = Counter()
        self.refused: Counter[Place] = Counter()
        self.unsent: Counter[Place] = Counter()  # observed, and the answer was too large for Kafka
        self.counted: Counter[int] = Counter()  # rows by minute
        self.outcomes: Counter[tuple[str, str, int]] = Counter()  # by id, label and sign
        self.given_up: set[str] = set()  # labels whose request was refused
        self.label_sums = 0
        self.label_rows = 0
        self.said: dict[str, list[bytes]] = {topic: [] for topic in JUDGED}
        self.meant: dict[str, list[bytes]] = {topic: [] for topic in JUDGED}
        self.strange: list[str] = []

    def close(self) -> None:
        """Let go of the log."""
        self._reader.close()

    def read(self, wait_s: float) -> None:
        """Take what has come."""
        for message in self._reader.consume(5_000, wait_s):
            if message.error() is None and (message.key() != SWEPT or message.value()):  # as PROTOCOL tells readers
                topic = self._cluster.logical(message.topic())
                self._take(topic, message)

    def _take(self, topic: str, message: Any) -> None:
        value = message.value()
        match topic:
            case "requests":
                place = (message.partition(), message.offset())
                self.requests[place] = _id_and_time(value)
                if b"666.0" in value:
                    self.unbearable.add(place)
            case "predictions":
                self.predicted[msgspec.json.decode(value, type=Prediction).id] += 1
            case "observations":
                head, batch = observation.decode(value)
                self.observed.update((head.partition, offset) for offset in batch.column("offset").to_pylist())
            case "dead-letters":
                self._refuse({name.removeprefix("driftline-"): text for name, text in message.headers()}, value)
            case "counts":
                self._count(message)
            case "outcomes":
                outcome = msgspec.json.decode(value, type=Outcome)
                self.outcomes[outcome.id, outcome.label, outcome.sign] += 1
            case _:
                self.said[topic].append(value)

    def _refuse(self, said: dict[str, bytes], value: bytes) -> None:
        place = (int(said["partition"]), int(said["offset"]))
        match said["topic"], said["stage"], said["reason"]:
            case b"requests", b"predictions", b"oversize":
                self.unsent[place] += 1
            case b"requests", b"score", b"model_failed" if said["detail"] not in MODEL_ERRORS:
                self.strange.append(str(said))
            case b"requests", b"score", _:
                self.refused[place] += 1
            case b"feedback-waiting", b"join", b"unknown_prediction":
                self.given_up.add(msgspec.json.decode(value)["id"])
            case _:
                self.strange.append(str(said))

    def _count(self, message: Any) -> None:
        block = Block.of_messages("counts", message.partition(), [message])
        for publish in self._judge.process(block).publish:
            self.meant[publish.topic].append(publish.value or b"")
        counts = msgspec.msgpack.decode(message.value())
        if counts["type"] == "counts":
            for minute in msgspec.convert(counts, PartialCounts).minutes:
                self.counted[minute.minute_ms] += minute.rows if not minute.segment else 0
        elif counts["type"] == "labels":
            cells = np.frombuffer(counts["cells"], "<i8").reshape(-1, 4)
            self.label_sums += int(cells.sum())
            self.label_rows += int(cells[:, 0].sum()) if not counts["segment"] else 0

    # What does not add up.

    def answered(self) -> set[Place]:
        """Places of the requests that were not refused."""
        return self.requests.keys() - self.refused.keys()

    def doubled(self) -> list[str]:
        """What is there more than once; never forgiven."""
        wanted = Counter(id_ for id_, _ in self.requests.values())
        return [
            *(f"prediction {id_} x{n}" for id_, n in self.predicted.items() if n > wanted[id_] and wanted[id_]),
            *(f"observation {place} x{n}" for place, n in self.observed.items() if n > 1),
            *(f"dead letter {place} x{n}" for place, n in self.refused.items() if n > 1),
            *(f"dead letter and observation {place}" for place in self.refused.keys() & self.observed.keys()),
            *(f"answer and its dead letter {place} x{n}" for place, n in self.unsent.items() if n > 1),
            *(f"outcome {id_} {label} x{n}" for (id_, label), n in self.hold().items() if n not in (0, 1)),
            *(f"strange dead letter {said}" for said in self.strange),
        ]

    def hold(self) -> Counter[tuple[str, str]]:
        """How often each label holds of each id: once, or not at all."""
        held: Counter[tuple[str, str]] = Counter()
        for (id_, label, sign), n in self.outcomes.items():
            held[id_, label] += sign * n
        return held

    def missing(self, sent: int, labels: dict[str, tuple[str, int]]) -> list[str]:
        """What the log still lacks."""
        found = self.requests.values()
        ids = {self.requests[place][0] for place in self.answered()}
        sent_back = Counter(self.requests[place][0] for place in self.answered() - self.unsent.keys())
        told = {(id_, label) for id_, (label, _) in labels.items() if id_ in ids}
        held = {name for name, n in self.hold().items() if n}
        answered = [self.requests[place] for place in self.answered()]
        minutes = Counter(ts // MINUTE_MS * MINUTE_MS for _, ts in answered)
        wrong = [
            (f"requests {len(found)} of {sent}", len(found) == sent),
            (f"predictions {self.predicted.total()} of {sent_back.total()}", self.predicted == sent_back),
            (
                f"refused {len(self.unbearable & self.refused.keys())} of {len(self.unbearable)} unbearable",
                self.unbearable <= self.refused.keys(),
            ),
            (f"observations {len(self.observed)} of {len(answered)}", self.observed.keys() == self.answered()),
            (f"counts {self.counted.total()} of {len(answered)}", self.counted == minutes),
            (f"labels given up: {sorted(self.given_up & ids)[:3]}", not self.given_up & ids),
            (f"labels {len(held)} of {len(told)}, {sorted(told ^ held)[:3]}", held == told),
            (f"sums of {self.label_rows} of {len(told)} labels", self.label_rows == len(told)),
            *((f"{t}: {len(self.said[t])} of {len(self.meant[t])}", self.said[t] == self.meant[t]) for t in JUDGED),
        ]
        return [what for what, holds in wrong if not holds]

    def contradictions(self) -> list[str]:
        """Where the judge has said what no judge says of these counts."""
        return [
            f"{topic} {n}: {said[:300]!r}, should be {meant[:300]!r}"
            for topic in JUDGED
            for n, (said, meant) in enumerate(zip(self.said[topic], self.meant[topic], strict=False))
            if said != meant
        ]

    def missing_rows(self) -> list[str]:
        """What the store lacks, or has twice."""
        store = self._store()
        try:
            rows = Counter((p, o) for p, o in store.rows("SELECT source_partition, source_offset FROM predictions"))
            minutes = store.rows("SELECT toUnixTimestamp64Milli(minute), sum(rows) FROM counts WHERE segment = '' "
                                 "GROUP BY minute")  # fmt: skip
            reports = store.rows("SELECT count() FROM reports")[0][0]
            alerts = Counter(value for (value,) in store.rows("SELECT id FROM alerts"))
            outcomes = Counter(
                (i, label, sign) for i, label, sign in store.rows("SELECT id, label, sign FROM outcomes")
            )
            sums = store.rows("SELECT sum(arraySum(cells)) FROM label_counts")[0][0]
        finally:
            store.close()
        wrong = [
            (f"rows {rows.total()} of {len(self.answered())}", rows == Counter(self.answered())),
            (f"counts {sum(n for _, n in minutes)} of {self.counted.total()}", Counter(dict(minutes)) == self.counted),
            (f"reports {reports} of {self._report_rows()}", reports == self._report_rows()),
            (f"alerts {alerts.total()} of {len(self.said['alerts'])}", alerts.total() == len(self.said["alerts"])),
            (f"outcomes {outcomes.total()} of {self.outcomes.total()}", outcomes == self.outcomes),
            (f"label sums {sums} of {self.label_sums}", sums == self.label_sums),
        ]
        return [what for what, holds in wrong if not holds]

    def _report_rows(self) -> int:
        """Rows of the newest revision of every report."""
        newest: dict[Any, Report] = {}
        for value in self.said["reports"]:
            report = msgspec.json.decode(value, type=Report)
            newest[report.model, report.version, report.segment, report.window_start] = report
        return len(next(iter(of_reports(list(newest.values())).columns.values()), ()))


def _id_and_time(value: bytes) -> tuple[str, int]:
    try:
        said = msgspec.json.decode(value)
        return str(said["id"]), int(said["ts"])
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, ValueError):
        return "", 0


def until(holds: Callable[[], Any], deadline_s: float, otherwise: Callable[[], str]) -> None:
    """Ask until it holds."""
    end = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < end, otherwise()
