"""How we speak to a Kafka cluster: the one place that knows librdkafka's settings.

Everything in ``options`` is passed through to librdkafka (``security.protocol``, ``sasl.mechanism``,
``ssl.ca.location``...). A value that begins with ``env:`` or ``file:`` is read from there, so that no secret stands in
a settings file, and none is ever printed.
"""

from typing import Any, Literal

import confluent_kafka as ck
import msgspec
from confluent_kafka.admin import AdminClient

from streams.kafka import topics
from streams.secrets import open_reference

#: Committed state is all that anyone reads, and a reader never trusts a guess about where it was (see `BatchConsumer`).
_READ = {
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "fetch.queue.backoff.ms": 1,  # the default of 1,000 costs 8x on a backlog
    # Small messages are kept ahead by the fetch, and cost ten times their bytes: 200 MB of labels at the defaults.
    "queued.min.messages": 10_000,
    "fetch.message.max.bytes": 262_144,
    "fetch.wait.max.ms": 50,
    "allow.auto.create.topics": False,
    "topic.metadata.refresh.interval.ms": 10_000,  # new partitions and topics; the default is 5 minutes
}
_WRITE = {
    "log_level": 3,  # a coordinator that is still loading is no news
    "acks": "all",
    "enable.idempotence": True,
    "partitioner": "murmur2_random",
    "compression.type": "lz4",
    "linger.ms": 5,
    "retry.backoff.ms": 5,  # growing to 1 s; the default's 100 ms delay each transaction on another's heels
    "queue.buffering.max.messages": 1_000_000,
    "message.max.bytes": 1_000_000,
}


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """A Kafka cluster as one deployment sees it.

    Parameters
    ----------
    bootstrap
        ``host:port`` or several, comma-separated.
    prefix
        Stands before every topic, group and transactional id.
    options
        librdkafka properties, passed through; ``env:NAME`` and ``file:PATH`` are references to secrets.
    group_protocol
        ``consumer`` (KIP-848, Kafka 4.0 and later: rejoins in about a second) or ``classic``.
    transaction_timeout_ms
        How long readers may hang behind a dead writer; below the session time-out.
    session_timeout_ms
        Classic protocol only: how long a dead member keeps its partitions.
    buffer_bytes_max
        What a consumer prefetches at the most.
    """

    bootstrap: str
    prefix: str = ""
    options: dict[str, str] = {}
    group_protocol: Literal["consumer", "classic"] = "classic"
    transaction_timeout_ms: int = 10_000
    session_timeout_ms: int = 12_000
    buffer_bytes_max: int = 67_108_864

    def __repr__(self) -> str:
        return f"Cluster(bootstrap={self.bootstrap!r}, prefix={self.prefix!r})"

    def topic(self, name: str) -> str:
        """Name of a topic on the cluster."""
        return topics.full(self.prefix, name)

    def logical(self, topic: str) -> str:
        """Name of a topic in our table."""
        return topics.logical(self.prefix, topic)

    def opened(self) -> dict[str, str]:
        """Options with their references resolved; never to be printed.

        Raises
        ------
        SecretError
            A reference leads nowhere.
        """
        return {name: open_reference(value) for name, value in self.options.items()}

    def _common(self) -> dict[str, Any]:
        return {"bootstrap.servers": self.bootstrap, "log_level": 4, **self.opened()}

    def consumer(self, group: str, **more: Any) -> ck.Consumer:
        """Join a group. Nothing is committed but by us."""
        protocol: dict[str, Any] = {"group.protocol": self.group_protocol}
        if self.group_protocol == "classic":
            protocol |= {
                "session.timeout.ms": self.session_timeout_ms,
                "partition.assignment.strategy": "cooperative-sticky",
            }
        size = {"queued.max.messages.kbytes": self.buffer_bytes_max // 1024}
        return ck.Consumer({**self._common(), **_READ, **size, **protocol, "group.id": self.prefix + group} | more)

    def reader(self, **more: Any) -> ck.Consumer:
        """Make a consumer for whole reads by `assign`; it belongs to no group."""
        return ck.Consumer({**self._common(), **_READ, "group.id": self.prefix + "reader"} | more)

    def producer(self, transactional_id: str | None = None, **more: Any) -> ck.Producer:
        """Make a producer; with an id it is transactional and aborts what its predecessor left open."""
        transaction: dict[str, Any] = {}
        if transactional_id:
            transaction = {
                "transactional.id": self.prefix + transactional_id,
                "transaction.timeout.ms": self.transaction_timeout_ms,
            }
        return ck.Producer({**self._common(), **_WRITE, **transaction} | more)

    def admin(self, **more: Any) -> AdminClient:
        """Make an admin client."""
        return AdminClient(self._common() | more)
