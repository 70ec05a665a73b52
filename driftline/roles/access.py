"""The least that each role and command needs on a cluster with ACLs: one table for roles, doctor, documents and tests.

Read, write and alter imply describe. A topic that is read for its committed end, or a group whose offsets are looked
up, needs no more than what stands here.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from driftline.settings import Settings
from streams.kafka.access import Need, Operation
from streams.kafka.topics import FOREIGN, TOPICS

_READ: tuple[Operation, ...] = ("read",)
_WRITE: tuple[Operation, ...] = ("write",)
_BOTH: tuple[Operation, ...] = ("read", "write")
_DESCRIBE: tuple[Operation, ...] = ("describe",)


def _topics(operations: tuple[Operation, ...], *names: str) -> tuple[Need, ...]:
    return tuple(Need("topic", name, operations) for name in names)


def _groups(operations: tuple[Operation, ...], *names: str) -> tuple[Need, ...]:
    return tuple(Need("group", name.removesuffix("*"), operations, name.endswith("*")) for name in names)


def _ids(*names: str) -> tuple[Need, ...]:
    return tuple(Need("transactional-id", name.removesuffix("*"), _WRITE, name.endswith("*")) for name in names)


#: Whoever reads a topic whole: librdkafka looks for the coordinator of a group that nobody joins.
_READER = Need("group", "reader", ("describe",))
_ALL = tuple(topic.name for topic in TOPICS)
#: Topics of the sink's group: whoever describes a group must be allowed its topics.
_SUNK = ("alerts", "counts", "dead-letters", "feedback", "outcomes", "reports", "retraining")

#: Needs of the processes that run for long. Groups that begin with a role's name are Faust's, which follow `models`.
ROLES: Mapping[str, tuple[Need, ...]] = MappingProxyType(
    {
        "worker": (
            _READER,
            *_topics(_READ, "requests", "models"),
            *_topics(_WRITE, "predictions", "observations", "dead-letters"),
            *_topics(_BOTH, "snapshots"),
            *_groups(_READ, "score", "worker-*"),
            *_ids("score-*"),
        ),
        "monitor": (
            _READER,
            *_topics(_READ, "requests", "observations", "feedback", "models"),
            *_topics(_BOTH, "feedback-waiting", "counts", "outcomes", "alerts", "snapshots"),
            *_topics(_WRITE, "reports", "retraining", "dead-letters"),
            *_groups(_READ, "count", "join", "judge", "notify", "monitor-*"),
            *_groups(_DESCRIBE, "score", "sink"),
            *_ids("count-*", "join-*", "judge-*", "notify-*"),
        ),
        "store": (
            _READER,
            *_topics(_READ, "observations", "feedback", "outcomes", "counts", "reports", "alerts", "retraining"),
            *_topics(_READ, "models"),
            *_topics(_BOTH, "snapshots", "dead-letters"),
            *_groups(_READ, "sink", "store-*"),
            *_ids("sink-*"),
        ),
    }
)

#: Needs of commands. The page needs nothing: it asks the store.
COMMANDS: Mapping[str, tuple[Need, ...]] = MappingProxyType(
    {
        "topics create": (
            *(Need("topic", name, ("create", "describe")) for name in _ALL),
            *(Need("topic", name, ("alter",)) for name in ("predictions", "observations")),
        ),
        "topics check": tuple(Need("topic", name, ("describe", "describe_configs")) for name in _ALL),
        "produce": (
            _READER,
            *_topics(_WRITE, "requests"),
            *_topics(_READ, "models", "dead-letters"),
            *_groups(_DESCRIBE, "score"),
        ),
        "produce --feedback": (
            _READER,
            *_topics(_WRITE, "feedback"),
            *_topics(_READ, "models", "dead-letters"),
            *_topics(_DESCRIBE, "feedback-waiting"),  # whoever describes a group must be allowed its topics
            *_groups(_DESCRIBE, "join"),
        ),
        # Besides those above: how far the monitor and the sink are, so that a stretch waits for the one before it.
        "produce --backfill": (
            *_topics(_READ, "observations"),
            *_topics(_DESCRIBE, *_SUNK),
            *_groups(_DESCRIBE, "count", "sink"),
        ),
        "model": (
            _READER,
            *_topics(_BOTH, "models"),
            *_topics(_WRITE, "counts"),
            *_topics(_DESCRIBE, "requests"),
            *_groups(_DESCRIBE, "score"),
            *_ids("routes"),
        ),
        "model list": (_READER, *_topics(_READ, "models")),
        "incidents": (*_topics(_WRITE, "counts"), *_ids("acts")),
        "dead-letters list": (_READER, *_topics(_READ, "dead-letters")),
        "dead-letters redrive": (
            _READER,
            *_topics(_BOTH, "dead-letters"),
            *_topics(_WRITE, "requests", "feedback"),
            *_ids("redrive"),
        ),
        "replay": (
            _READER,
            *_topics(_READ, "requests", "predictions", "observations", "counts", "outcomes", "models"),
            *_topics(_READ, "snapshots", "reports", "alerts", "retraining"),
            *_groups(_DESCRIBE, "score", "judge"),
        ),
        "doctor": (
            _READER,
            *(Need("topic", name, ("describe", "describe_configs")) for name in _ALL),
            *_topics(_READ, "models", "dead-letters"),
        ),
    }
)


def monitor(settings: Settings) -> tuple[Need, ...]:
    """What the monitor needs to begin; more where it watches topics that somebody else fills.

    Those themselves are not among it: one that may not be read is waited for, like one that is not there.
    """
    return ROLES["monitor"] + (watching(()) if settings.watch_topics else ())


def watching(topics: Iterable[str]) -> tuple[Need, ...]:
    """What the monitor needs besides, where it watches topics that somebody else fills.

    Parameters
    ----------
    topics
        Their names on the cluster.
    """
    foreign = tuple(FOREIGN + topic for topic in topics)
    return (
        *_topics(_READ, *foreign),
        *_topics(_WRITE, "models", "observations", "feedback"),
        *_groups(_READ, "watch"),
        *_ids("watch-*", "routes"),
    )
