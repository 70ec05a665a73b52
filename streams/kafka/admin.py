"""Topics made and checked from the one table; never changed behind anyone's back."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future

import confluent_kafka as ck
import msgspec
from confluent_kafka.admin import ConfigResource, NewPartitions, NewTopic, ResourceType
from tenacity import RetryError, retry, retry_if_result, stop_after_delay, wait_fixed

from streams.clock import ticks_ms
from streams.kafka.access import Need, Operation, command, denied, require
from streams.kafka.cluster import Cluster
from streams.kafka.refused import Refusal, why_refused
from streams.kafka.topics import TOPICS, Topic
from streams.logs import logger

#: Topics that are written by the partition a request was read from.
FOLLOW_REQUESTS = ("predictions", "observations")
#: How long a role waits for its topics.
AWAIT_S = 120.0
_WAIT_S = 15.0
_ASK_S = 3.0
_SAY_MS = 10_000
_AWAIT_PAUSE_S = 0.1


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """How many partitions and replicas the topics of a deployment get."""

    requests: int = 4
    model: int = 1
    replicas: int = 1
    retention_ms: int | None = None

    def partitions(self, topic: Topic) -> int:
        """Partitions of a topic of the table."""
        return {"requests": self.requests, "model": self.model, "one": 1}[topic.partitions]


class TopicError(RuntimeError):
    """Topics are missing or wrong; the text says which and what to do."""


class LetInError(TopicError):
    """The cluster answers and does not let us in; ``refusal`` says why and names the setting."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def create(cluster: Cluster, layout: Layout) -> list[str]:
    """Create the topics that are missing; those that exist are left as they are. Returns the names made.

    Raises
    ------
    TopicError
        The broker refuses one, does not answer, or does not tell of it afterwards.
    """
    admin = cluster.admin()
    there = partition_counts(cluster)
    wanted = [
        NewTopic(
            cluster.topic(topic.name),
            num_partitions=layout.partitions(topic),
            replication_factor=layout.replicas,
            config=_config(topic, layout),
        )
        for topic in TOPICS
        if topic.name not in there
    ]
    made = admin.create_topics(wanted, request_timeout=_WAIT_S) if wanted else {}
    _finish(cluster, made, "create", "create it by hand or allow it")
    if wanted:
        try:
            _wait_for_all(cluster)
        except RetryError:
            raise TopicError(f"topics were made and are not seen after {_WAIT_S:.0f} s; is a broker away?") from None
    return [topic.topic for topic in wanted]


@retry(
    retry=retry_if_result(lambda seen: len(seen) < len(TOPICS)), stop=stop_after_delay(_WAIT_S), wait=wait_fixed(0.05)
)
def _wait_for_all(cluster: Cluster) -> dict[str, int]:
    """A broker that has made a topic tells of it a moment later."""
    return partition_counts(cluster)


def await_topics(
    cluster: Cluster,
    names: Iterable[str],
    needs: Sequence[Need] = (),
    deadline_s: float = AWAIT_S,
    awaits: Callable[[str], object] = str,
) -> None:
    """Return when topics of the table are there: a role may be started before the log, or before its topics are made.

    Parameters
    ----------
    names
        Logical names.
    needs
        What this user must be allowed, where the cluster knows users; seen to as soon as a broker answers, for topics
        that it may not describe look as if they were not there.
    deadline_s
        How long to wait.
    awaits
        Given what is waited for, again and again; empty in the end.

    Raises
    ------
    AccessError
        It is not allowed something.
    TopicError
        They were not made in time, or nobody answers; at once where the cluster refuses us.
    """
    wanted = set(names)
    until = ticks_ms() + deadline_s * 1000
    said_ms = ticks_ms()
    while True:
        try:
            missing = sorted(wanted - partition_counts(cluster, _ASK_S).keys())
            if needs and cluster.options:
                require(cluster, needs)
                needs = ()
            why = f"no topic {', '.join(map(cluster.topic, missing))} on {cluster.bootstrap}; `driftline topics create`"
        except TopicError as error:
            if isinstance(error, LetInError) and error.refusal.certain:
                raise
            missing, why = sorted(wanted), str(error)
        except ck.KafkaException as error:
            missing, why = sorted(wanted), error.args[0].str()
        awaits(why if missing else "")
        if not missing:
            return
        if ticks_ms() > until:
            raise TopicError(why)
        if ticks_ms() - said_ms > _SAY_MS:
            logger("streams.kafka.admin").warning("topics.awaited", why=why)
            said_ms = ticks_ms()
        time.sleep(_AWAIT_PAUSE_S)


def _config(topic: Topic, layout: Layout) -> dict[str, str]:
    if topic.compacted:
        return {"cleanup.policy": "compact"}
    kept = topic.retention_ms
    if kept > 0 and layout.retention_ms is not None:
        kept = layout.retention_ms
    times = "LogAppendTime" if topic.filled_by_clients else "CreateTime"
    config = {"retention.ms": str(kept), "message.timestamp.type": times}
    if topic.name == "models":  # Faust's own client follows it, and reads no lz4
        config["compression.type"] = "uncompressed"
    return config


def partition_counts(cluster: Cluster, timeout_s: float = _WAIT_S) -> dict[str, int]:
    """Partitions of every topic of the table that exists, by logical name.

    Raises
    ------
    TopicError
        The broker does not answer.
    """
    names = {cluster.topic(topic.name): topic.name for topic in TOPICS}
    return {names[name]: count for name, count in foreign_partitions(cluster, names, timeout_s).items()}


def foreign_partitions(cluster: Cluster, topics: Iterable[str], timeout_s: float = _WAIT_S) -> dict[str, int]:
    """Partitions of topics that somebody else fills, by their name on the cluster; none for one that is not there.

    Parameters
    ----------
    topics
        Names as they are on the cluster, without the prefix of our own.
    timeout_s
        Seconds to wait for the broker.

    Raises
    ------
    TopicError
        The broker does not answer, or (`LetInError`) refuses us.
    """
    try:
        # A broker that is not there is said once, below, and not at every attempt.
        on_cluster = cluster.admin(log_level=2).list_topics(timeout=timeout_s).topics
    except ck.KafkaException as error:
        if refusal := why_refused(cluster):
            raise LetInError(refusal) from None
        raise TopicError(
            f"no Kafka at {cluster.bootstrap}: {error.args[0].str()}; start one or set kafka.bootstrap"
        ) from error
    return {name: len(on_cluster[name].partitions) for name in topics if name in on_cluster}


def behind(cluster: Cluster, counts: Mapping[str, int]) -> list[str]:
    """Topics with fewer partitions than `requests`, whose other partitions therefore wait; in sentences."""
    return [
        f"topic {cluster.topic(name)} has {counts[name]} partitions and requests has {counts['requests']}: what comes "
        "to the others waits; `driftline topics create` adds them"
        for name in FOLLOW_REQUESTS
        if counts[name] < counts["requests"]
    ]


def extend(cluster: Cluster) -> list[str]:
    """Give the topics that must have as many partitions as `requests` those that they lack; returns what was done.

    Raises
    ------
    TopicError
        The broker refuses.
    """
    counts = partition_counts(cluster)
    additions = [
        NewPartitions(cluster.topic(name), counts["requests"])
        for name in FOLLOW_REQUESTS
        if counts[name] < counts["requests"]
    ]
    admin = cluster.admin()  # it must outlive its futures
    futures = admin.create_partitions(additions, request_timeout=_WAIT_S) if additions else {}
    _finish(cluster, futures, "alter", "add partitions by hand or allow it")
    return [f"{topic.topic}: {topic.new_total_count} partitions" for topic in additions]


def create_foreign(cluster: Cluster, names: Iterable[str], partitions: int, replicas: int) -> list[str]:
    """Create topics that are not of the table, by their names on the cluster; returns those made.

    Parameters
    ----------
    names
        On the cluster.
    partitions, replicas
        Of each topic that is made.

    Raises
    ------
    TopicError
        The broker refuses one.
    """
    wanted_names = list(names)
    there = foreign_partitions(cluster, wanted_names)
    wanted = [NewTopic(name, partitions, replicas) for name in wanted_names if name not in there]
    admin = cluster.admin()  # it must outlive its futures
    made = admin.create_topics(wanted, request_timeout=_WAIT_S) if wanted else {}
    _finish(cluster, made, "create", "create it by hand or allow it")
    return [topic.topic for topic in wanted]


def _finish(cluster: Cluster, futures: Mapping[str, Future[None]], operation: Operation, remedy: str) -> None:
    """Wait for changes of topics; one that somebody else has just made is none."""
    for name, future in futures.items():
        try:
            future.result(_WAIT_S)
        except ck.KafkaException as error:
            if error.args[0].code() == ck.KafkaError.TOPIC_ALREADY_EXISTS:
                continue
            if denied(error.args[0]):
                remedy = command(cluster, Need("topic", cluster.logical(name), (operation,)))
            raise TopicError(f"topic {name}: {error.args[0].str()}; {remedy}") from error


def check(cluster: Cluster) -> list[str]:
    """What is wrong with the topics, in sentences; empty when all is well."""
    counts = partition_counts(cluster)
    wrong = [
        f"topic {cluster.topic(topic.name)} is missing; run `driftline topics create`"
        for topic in TOPICS
        if topic.name not in counts
    ]
    if wrong:
        return wrong
    for name in ("predictions", "observations"):
        if counts[name] > counts["requests"]:
            wrong.append(
                f"topic {cluster.topic(name)} has {counts[name]} partitions and requests has {counts['requests']}: "
                "those that are more stay empty; give requests as many"
            )
    wrong += behind(cluster, counts)
    by_model = {topic.name: counts[topic.name] for topic in TOPICS if topic.partitions == "model"}
    if len(set(by_model.values())) > 1:
        wrong.append(f"model-keyed topics differ in partitions ({by_model}); give all of them the same number")
    return wrong + _wrong_configs(cluster)


def _wrong_configs(cluster: Cluster) -> list[str]:
    compacted = [ConfigResource(ResourceType.TOPIC, cluster.topic(t.name)) for t in TOPICS if t.compacted]
    wrong = []
    admin = cluster.admin()  # it must outlive its futures
    for resource, future in admin.describe_configs(compacted, request_timeout=_WAIT_S).items():
        policy = future.result(_WAIT_S)["cleanup.policy"].value
        if "compact" not in policy:
            wrong.append(f"topic {resource.name} has cleanup.policy={policy}; set it to compact")
    return wrong
