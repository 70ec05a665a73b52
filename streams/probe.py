"""What a cluster is and allows, found out without making anything on it."""

from collections.abc import Mapping
from typing import Any

import confluent_kafka as ck
import msgspec
from confluent_kafka import TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient, ConfigResource, ResourceType

from streams.cluster import Cluster
from streams.topics import TOPICS


class ProbeError(RuntimeError):
    """The cluster does not let us in; the text says why, as far as the client library knows."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster's answers.

    Attributes
    ----------
    brokers
        How many there are.
    config
        A broker's settings; empty where we may not read them.
    message_bytes_max
        By topic of ours that exists.
    closed
        Topics of ours, with what we may not do there: ``read``, ``write``.
    """

    brokers: int
    config: Mapping[str, str]
    message_bytes_max: Mapping[str, int]
    closed: Mapping[str, list[str]]


def probe(cluster: Cluster, wait_s: float = 3.0) -> Found:
    """Ask a cluster.

    Raises
    ------
    ProbeError
        It cannot be reached, or refuses us; or librdkafka does not take ``cluster.options``.
    ValueError
        A secret among the options cannot be read.
    """
    said: list[str] = []
    try:
        admin = cluster.admin(log_level=0, error_cb=lambda error: said.append(error.str()))
    except ck.KafkaException as error:
        raise ProbeError(error.args[0].str()) from None
    try:
        known = admin.list_topics(timeout=wait_s)
    except ck.KafkaException as error:
        admin.poll(0.1)  # the first word says why; the others that it is so
        raise ProbeError(said[0] if said else error.args[0].str()) from None
    there = [cluster.topic(topic.name) for topic in TOPICS if cluster.topic(topic.name) in known.topics]
    broker = ConfigResource(ResourceType.BROKER, str(next(iter(known.brokers))))
    configs = _configs(admin, [broker], wait_s)
    topics = _configs(admin, [ConfigResource(ResourceType.TOPIC, name) for name in there], wait_s)
    return Found(
        brokers=len(known.brokers),
        config=configs.get(broker.name, {}),
        message_bytes_max={name: int(config["max.message.bytes"]) for name, config in topics.items()},
        closed=_closed(admin, there, wait_s),
    )


def _configs(admin: AdminClient, resources: list[ConfigResource], wait_s: float) -> dict[str, dict[str, str]]:
    """Settings of those resources that we may read."""
    found = {}
    asked: Mapping[Any, Any] = admin.describe_configs(resources, request_timeout=wait_s) if resources else {}
    for resource, future in asked.items():
        try:
            found[resource.name] = {name: entry.value for name, entry in future.result(wait_s).items()}
        except ck.KafkaException:
            continue
    return found


def _closed(admin: AdminClient, names: list[str], wait_s: float) -> dict[str, list[str]]:
    """What we may not do on topics; nothing where the broker does not tell."""
    if not names:
        return {}
    wanted = {AclOperation.READ: "read", AclOperation.WRITE: "write"}
    asked = admin.describe_topics(TopicCollection(names), include_authorized_operations=True, request_timeout=wait_s)
    closed = {}
    for name, future in asked.items():
        try:
            allowed = future.result(wait_s).authorized_operations
        except ck.KafkaException:
            continue
        missing = [word for operation, word in wanted.items() if allowed is not None and operation not in allowed]
        if missing:
            closed[name] = missing
    return closed
