"""What a cluster is and allows, found out without making anything on it."""

from collections.abc import Mapping
from typing import Any

import confluent_kafka as ck
import msgspec
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from streams.kafka.cluster import Cluster
from streams.kafka.refused import why_refused
from streams.kafka.topics import TOPICS


class ProbeError(RuntimeError):
    """The cluster does not let us in; the text says why, and ``fix`` names the setting where that is known."""

    def __init__(self, why: str, fix: str = "") -> None:
        super().__init__(why)
        self.fix = fix


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
    """

    brokers: int
    config: Mapping[str, str]
    message_bytes_max: Mapping[str, int]


def probe(cluster: Cluster, wait_s: float = 3.0) -> Found:
    """Ask a cluster.

    Raises
    ------
    ProbeError
        It cannot be reached, or refuses us; or librdkafka does not take ``cluster.options``.
    ValueError
        A secret among the options cannot be read.
    """
    try:
        admin = cluster.admin(log_level=0)
        known = admin.list_topics(timeout=wait_s)
    except ck.KafkaException as error:
        refusal = why_refused(cluster, wait_s)
        raise ProbeError(refusal.why if refusal else error.args[0].str(), refusal.fix if refusal else "") from None
    there = [cluster.topic(topic.name) for topic in TOPICS if cluster.topic(topic.name) in known.topics]
    broker = ConfigResource(ResourceType.BROKER, str(next(iter(known.brokers))))
    configs = _configs(admin, [broker], wait_s)
    topics = _configs(admin, [ConfigResource(ResourceType.TOPIC, name) for name in there], wait_s)
    return Found(
        brokers=len(known.brokers),
        config=configs.get(broker.name, {}),
        message_bytes_max={name: int(config["max.message.bytes"]) for name, config in topics.items()},
    )


def _configs(admin: AdminClient, resources: list[ConfigResource], wait_s: float) -> dict[str, dict[str, str]]:
    """Settings of those resources that we may read."""
    configs = {}
    futures: Mapping[Any, Any] = admin.describe_configs(resources, request_timeout=wait_s) if resources else {}
    for resource, future in futures.items():
        try:
            configs[resource.name] = {name: entry.value for name, entry in future.result(wait_s).items()}
        except ck.KafkaException:
            continue
    return configs
