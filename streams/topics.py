"""The one table of topics: what exists, how it is keyed, how long it keeps.

A prefix covers every name, so that several deployments share a cluster: ``prod.`` makes ``prod.requests``.
"""

from typing import Literal

import msgspec

DAY_MS = 86_400_000
FOREVER = -1


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """One topic of the table.

    ``partitions`` says whose count it takes: ``requests`` follows the setting for requests, ``model`` the
    setting for model-keyed topics, ``one`` is a single partition. ``retention_ms`` -1 keeps for ever;
    ``compacted`` keeps the newest value a key.
    """

    name: str
    partitions: Literal["requests", "model", "one"]
    retention_ms: int = 7 * DAY_MS
    compacted: bool = False


TOPICS: tuple[Topic, ...] = (
    Topic(name="requests", partitions="requests"),
    Topic(name="predictions", partitions="requests"),
    Topic(name="observations", partitions="requests"),
    Topic(name="feedback", partitions="requests"),
    Topic(name="feedback-waiting", partitions="requests"),
    Topic(name="models", partitions="one", retention_ms=FOREVER),
    Topic(name="counts", partitions="model"),
    Topic(name="snapshots", partitions="model", retention_ms=FOREVER, compacted=True),
    Topic(name="outcomes", partitions="model"),
    Topic(name="reports", partitions="model"),
    Topic(name="alerts", partitions="model", retention_ms=FOREVER),
    Topic(name="retraining", partitions="model", retention_ms=FOREVER),
    Topic(name="dead-letters", partitions="one", retention_ms=30 * DAY_MS),
)

NAMES = frozenset(topic.name for topic in TOPICS)
MODEL_KEYED = frozenset(topic.name for topic in TOPICS if topic.partitions == "model")


def full(prefix: str, name: str) -> str:
    """Name on the cluster.

    >>> full("prod.", "requests")
    'prod.requests'
    """
    return prefix + name


def logical(prefix: str, topic: str) -> str:
    """Name without the prefix.

    >>> logical("prod.", "prod.requests")
    'requests'
    """
    return topic.removeprefix(prefix)
