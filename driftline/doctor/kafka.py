"""The log: reachable, willing, large enough, and with the topics that we need."""

from collections.abc import Iterator

from driftline.doctor.finding import Finding, State, failing
from driftline.roles import parts
from driftline.roles.access import ROLES, watching
from driftline.settings import Settings
from streams.kafka import admin
from streams.kafka.access import command, lacking, lacks
from streams.kafka.cluster import Cluster
from streams.kafka.probe import Found, ProbeError, probe
from streams.kafka.reach import ANSWER_S, unreachable
from streams.kafka.topics import DAY_MS, FOREIGN, TOPICS

#: A message of ours may be as large as this.
MESSAGE_BYTES_MAX = 1_000_000


def cluster(settings: Settings) -> Iterator[Finding]:
    """Everything about the cluster; an embedded broker that does not run is a note."""
    log = parts.cluster(settings)
    tried = [address.strip() for address in log.bootstrap.split(",")]
    away = {address: why for address in tried if (why := unreachable(address))}
    if away and settings.embedded_kafka:
        yield Finding("kafka", "note", f"the embedded broker does not run on {log.bootstrap}", "driftline up")
        return
    rest = ",".join(address for address in tried if address not in away)
    for address, why in away.items():
        state: State = "warn" if rest else "fail"
        yield Finding("kafka", state, f"{address} {why}", f'kafka.bootstrap = "{rest or "host:9092"}"')
    if not rest:
        return
    try:
        kafka = probe(log, ANSWER_S)
    except (ProbeError, ValueError) as error:
        fix = "[kafka.options] security.protocol, sasl.mechanism, ssl.ca.location: as your cluster says"
        text = str(error) if log.bootstrap in str(error) else f"{log.bootstrap}: {error}"
        yield failing("kafka", text, getattr(error, "fix", "") or fix)
        return
    yield Finding("kafka", "ok", f"{log.bootstrap}, {kafka.brokers} brokers")
    yield from limits(log, kafka)
    yield from _groups(settings, kafka)
    yield from access(settings)
    yield from _topics(log, kafka)
    yield from times(settings)


def times(settings: Settings) -> Iterator[Finding]:
    """Records that clients send are not deleted unread, for their old times. Says nothing where all is well."""
    from drift.incidents import rfc3339
    from streams.kafka.record_times import outdated

    log = parts.cluster(settings)
    ours = [topic.name for topic in TOPICS if topic.filled_by_clients]
    wanted = {
        log.topic(name): name for name in [*ours, *(FOREIGN + watched.topic for watched in settings.watch_topics)]
    }
    there = admin.foreign_partitions(log, wanted, ANSWER_S)
    for topic in outdated(log, [wanted[name] for name in there]):
        text = (
            f"{topic.name}: records as old as {rfc3339(topic.oldest_ms)} came of late, and the topic keeps "
            f"{topic.retention_ms / DAY_MS:g} days by the records' own time: Kafka deletes them, read or not"
        )
        alter = "--add-config message.timestamp.type=LogAppendTime"
        yield Finding("topics", "warn", text, f"kafka-configs.sh --alter --topic {topic.name} {alter}")


def access(settings: Settings) -> Iterator[Finding]:
    """What each role needs and this user may not do. One user may be meant for one role: then the others are notes."""
    log = parts.cluster(settings)
    if not log.options:
        return
    foreign = {watched.topic for watched in settings.watch_topics}
    more = {"monitor": watching(foreign) if foreign else ()}
    missing = {role: lacking(log, (*needs, *more.get(role, ()))) for role, needs in ROLES.items()}
    able = [role for role, lacked in missing.items() if not lacked]
    if able:
        text = f"this user may do what these need: {', '.join(able)} (transactional ids cannot be asked for)"
        yield Finding("access", "ok", text)
    state: State = "note" if able else "fail"
    for role, lacked in missing.items():
        for need in lacked:
            yield Finding("access", state, f"{role}: {lacks(log, need)}", command(log, need))


def limits(log: Cluster, kafka: Found) -> Iterator[Finding]:
    """Message sizes and transactions, from the broker's own settings."""
    config = kafka.config
    if not config:
        text = "the broker does not show its settings: sizes and transactions are not checked"
        yield Finding("broker", "warn", text, "allow DescribeConfigs on the cluster to this user")
        return
    wrong = []
    if int(config["message.max.bytes"]) < MESSAGE_BYTES_MAX and not kafka.message_bytes_max:
        text = f"message.max.bytes is {config['message.max.bytes']}; our messages reach {MESSAGE_BYTES_MAX}"
        wrong.append(failing("broker", text, "message.max.bytes=1048588 in the broker's server.properties"))
    for name in ("transaction.state.log", "offsets.topic"):
        copies = int(config[f"{name}.replication.factor"])
        if copies > kafka.brokers:
            text = (
                f"{name}.replication.factor is {copies} and there are {kafka.brokers} brokers: nothing can be committed"
            )
            fix = f"{name}.replication.factor={kafka.brokers} in the broker's server.properties"
            wrong.append(failing("broker", text, fix))
    if int(config["transaction.state.log.min.isr"]) > kafka.brokers:
        text = f"transaction.state.log.min.isr is more than the {kafka.brokers} brokers: no transaction can begin"
        fix = f"transaction.state.log.min.isr={kafka.brokers} in the broker's server.properties"
        wrong.append(failing("broker", text, fix))
    if int(config["transaction.max.timeout.ms"]) < log.transaction_timeout_ms:
        most = config["transaction.max.timeout.ms"]
        text = f"transactions may last {most} ms, ours ask for {log.transaction_timeout_ms}"
        wrong.append(failing("broker", text, f"kafka.transaction_timeout_ms = {most}"))
    yield from wrong or [Finding("broker", "ok", f"messages to {config['message.max.bytes']} bytes, transactions")]


def _groups(settings: Settings, kafka: Found) -> Iterator[Finding]:
    offered = "consumer" in kafka.config.get("group.coordinator.rebalance.protocols", "")
    wanted = parts.cluster(settings).group_protocol
    if wanted == "consumer" and kafka.config and not offered:
        text = "the broker has no group protocol `consumer` (Kafka 4.0 and later have it)"
        yield failing("groups", text, 'kafka.group_protocol = "classic"')
    elif wanted == "classic" and offered:
        text = "classic; the broker has `consumer` too, with which a restarted worker is back in 1.5 s, not 10"
        yield Finding("groups", "note", text, 'kafka.group_protocol = "consumer"')
    else:
        yield Finding("groups", "ok", wanted)


def _topics(log: Cluster, kafka: Found) -> Iterator[Finding]:
    wrong = [failing("topics", text, _mended(text)) for text in admin.check(log)]
    for name, size in kafka.message_bytes_max.items():
        if size < MESSAGE_BYTES_MAX:
            text = f"{name} takes messages to {size} bytes; ours reach {MESSAGE_BYTES_MAX}"
            fix = f"kafka-configs.sh --alter --topic {name} --add-config max.message.bytes=1048588"
            wrong.append(failing("topics", text, fix))
    yield from wrong or [Finding("topics", "ok", f"all there, as they should be, prefix {log.prefix!r}")]


def _mended(text: str) -> str:
    if "is missing" in text:
        return "driftline topics create"
    if "cleanup.policy" in text:
        return f"kafka-configs.sh --alter --topic {text.split()[1]} --add-config cleanup.policy=compact"
    if "`driftline topics create`" in text:
        return f"driftline topics create, or kafka-topics.sh --alter --topic {text.split()[1]} --partitions N"
    return "kafka-topics.sh --alter --topic NAME --partitions N, with the larger N"
