"""The demo's last lines: read back from Kafka and ClickHouse, and not remembered."""

import time
from collections import Counter

import msgspec

from drift.store import Store
from driftline.commands.terminal import aligned
from driftline.demo.clients import Reader, Watcher
from driftline.demo.traffic import People
from streams.kafka import ranges
from streams.kafka.cluster import Cluster
from streams.wire.dead_letters import PREFIX

_QUIET_S = 20.0
_LOOK_S = 0.2


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the requests and labels.

    ``complete`` says that nothing was lost, doubled or disturbed. ``auc`` is that of the joined labels.
    """

    requests: int
    predictions: int
    stored: int
    dead_letters: dict[str, int]
    broken: dict[str, int]
    lost: int
    doubled: int
    labels: int
    outcomes: int
    auc: float | None
    first_told: list[str]
    orders: int
    complete: bool

    def lines(self) -> list[str]:
        """For people."""
        letters = sum(self.dead_letters.values())
        auc = f", AUC {self.auc:.3f} by them" if self.auc is not None else ""
        return [
            f"{self.requests:,} requests, {self.predictions:,} predictions, {self.stored:,} rows in ClickHouse, "
            f"{letters:,} dead letters, {self.lost:,} {'lost' if self.complete else 'without an answer'}, "
            f"{self.doubled:,} doubled (read back)",
            *aligned([(f"{count:,}", reason) for reason, count in sorted(self.dead_letters.items())], (0,), indent=2),
            f"{self.labels:,} labels came late, {self.outcomes:,} have met their prediction{auc}",
        ]


def read_back(cluster: Cluster, store: Store, people: People, reader: Reader, watcher: Watcher) -> Summary:
    """Count what there is; waits for the store as long as it moves.

    Parameters
    ----------
    people
        What was sent, and what of it was broken.
    reader, watcher
        What they have read from the topics by now: predictions, and outcomes with all that the monitor says.
    """
    labels = len(people.labelled)
    broken = {str(reason): count for reason, count in people.broken.items()}
    letters = _reasons(cluster, people.broken.total())
    predictions = sum(reader.ids.values())
    lost, doubled = people.good - len(reader.ids), predictions - len(reader.ids)
    stored = _stored(store, "predictions", people.good)
    outcomes = _stored(store, "outcomes", labels)
    whole = lost == doubled == 0 and stored == people.good and outcomes == watcher.outcomes == labels
    alert = watcher.first_told()
    return Summary(
        requests=people.total,
        predictions=predictions,
        stored=stored,
        dead_letters=letters,
        broken=broken,
        lost=lost,
        doubled=doubled,
        labels=labels,
        outcomes=outcomes,
        auc=_auc(store),
        first_told=[column.name for column in alert.columns] if alert else [],
        orders=len(watcher.orders),
        complete=whole and letters == broken,
    )


def _stored(store: Store, table: str, wanted: int) -> int:
    """Rows of a table, when all have come or none has come for a while."""
    stored, since = 0, time.monotonic()
    while True:
        before, stored = stored, int(store.rows(f"SELECT count() FROM {table}")[0][0])  # noqa: S608
        since = time.monotonic() if stored > before else since
        if stored >= wanted or time.monotonic() - since > _QUIET_S:
            return stored
        time.sleep(_LOOK_S)


def _auc(store: Store) -> float | None:
    """How often a person in work scores above one who is not, over all joined labels."""
    sql = "SELECT arrayAUC(groupArray(score), groupArray(label = '1')) FROM outcomes WHERE sign > 0"
    value = float(store.rows(sql)[0][0])
    return value if value == value else None


def _reasons(cluster: Cluster, wanted: int) -> dict[str, int]:
    """Dead letters by reason. A transaction's records are readable a moment after it is over: wait for as many."""
    until = time.monotonic() + _QUIET_S
    while True:
        reasons = Counter(
            dict(headers or [])[PREFIX + "reason"].decode()
            for block in ranges.read_all(cluster, "dead-letters")
            for headers in block.headers
        )
        if reasons.total() >= wanted or time.monotonic() > until:
            return dict(reasons)
        time.sleep(_LOOK_S)
