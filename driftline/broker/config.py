"""The broker's settings: what a user may choose, and `server.properties`, the file that Kafka reads."""

from collections.abc import Mapping

import msgspec


class BrokerSettings(msgspec.Struct, frozen=True):
    """What may be chosen about the embedded broker; everything else is `PROPERTIES` below."""

    heap_mb_max: int = 256
    """Java heap, MB. The whole process stayed within 300 MB at 700,000 records a second."""

    aot: bool = True
    """Use a recorded start where there is one, and record one in the background where there is none."""

    java_flags: tuple[str, ...] = ()
    """More flags for Java, after ours."""

    overrides: Mapping[str, str] = {}
    """Lines of `server.properties` to add or to replace."""


PROPERTIES = """\
# One node is broker and controller, and keeps everything in the folder `log` beside this file.
process.roles=broker,controller
node.id=1
log.dirs=log

# Loopback only: there is neither encryption nor a password.
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller_port}

# One copy of everything: there is no second node to hold another.
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1

# A misspelt topic is an error, not a new topic.
auto.create.topics.enable=false

# A broker that was killed may come back when its old session has ended: after 3 s, not after 9 s. A session of 1 s
# ends whenever a busy machine leaves the broker alone for so long, and no partition has a leader then.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=200

# Groups notice a dead member within 3 s, and wait for no latecomers.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
group.consumer.min.session.timeout.ms=500
group.consumer.session.timeout.ms=3000
group.consumer.min.heartbeat.interval.ms=100
group.consumer.heartbeat.interval.ms=500

# A dead worker's transaction is aborted within a second of its time-out, not within ten.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000

# What any client leaves open holds up all who read behind it: for a minute at the most, not for a quarter of an hour.
transaction.max.timeout.ms=60000

# Fit for a small heap and a small disk: the cleaner's default buffer alone is 128 MB, and every partition's
# indexes would show 20 MB.
log.cleaner.dedupe.buffer.size=4194304
log.segment.bytes=268435456
log.index.size.max.bytes=1048576
"""


def server_properties(settings: BrokerSettings, port: int, controller_port: int) -> str:
    """The text of `server.properties`; of two lines with one name Java reads the last.

    Parameters
    ----------
    settings
        Their `overrides` stand last.
    port, controller_port
        Of this machine, both free: for clients, and for the broker's own controller.

    >>> settings = BrokerSettings(overrides={"log.retention.ms": "60000"})
    >>> server_properties(settings, 9092, 9093).splitlines()[-1]
    'log.retention.ms=60000'
    """
    chosen = "".join(f"{name}={value}\n" for name, value in settings.overrides.items())
    return PROPERTIES.format(port=port, controller_port=controller_port) + chosen
