"""The one table of topics: what exists, how it is keyed, how long it keeps.

A prefix covers every name, so that several deployments share a cluster: ``prod.`` makes ``prod.requests``. A topic that
is none of ours has no prefix; among us it is called by its name with an ``@`` before it, which no topic can begin with.
"""

from typing import Literal

import msgspec

DAY_MS = 86_400_000
FOREVER = -1


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """One topic of the table.

    ``partitions`` says whose count it takes: ``requests`` follows the setting for requests, ``model`` the
    setting for model-keyed topics, ``one`` is a single partition. ``retention_ms`` -1 keeps for ever;
    ``compacted`` keeps the newest value a key. ``filled_by_clients``: anybody writes to it, with whatever time; Kafka
    deletes by the record's own time, so there it goes by its arrival.
    """

    name: str
    partitions: Literal["requests", "model", "one"]
    retention_ms: int = 7 * DAY_MS
    compacted: bool = False
    filled_by_clients: bool = False


TOPICS: tuple[Topic, ...] = (
    Topic(name="requests", partitions="requests", filled_by_clients=True),
    Topic(name="predictions", partitions="requests"),
    Topic(name="observations", partitions="requests"),
    Topic(name="feedback", partitions="requests", filled_by_clients=True),
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


#: Before the name of a topic that somebody else fills.
FOREIGN = "@"


def full(prefix: str, name: str) -> str:
    """Name on the cluster.

    >>> full("prod.", "requests"), full("prod.", "@answers")
    ('prod.requests', 'answers')
    """
    return name.removeprefix(FOREIGN) if name.startswith(FOREIGN) else prefix + name


def logical(prefix: str, topic: str) -> str:
    """Name among us of a topic on the cluster.

    >>> logical("prod.", "prod.requests"), logical("prod.", "requests"), logical("", "requests"), logical("", "answers")
    ('requests', '@requests', 'requests', '@answers')
    """
    ours = topic.startswith(prefix) if prefix else topic in NAMES
    return topic.removeprefix(prefix) if ours else FOREIGN + topic
