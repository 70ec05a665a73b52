"""Ids of topics: one that was deleted and made again has another, and nothing of the old one is in it.

Brokers before Kafka 2.8 give none; a topic of theirs that was made again looks like the old one.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import confluent_kafka as ck
from confluent_kafka import TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient

from streams.clock import ticks_ms
from streams.kafka.access import allowed_operations
from streams.kafka.cluster import Cluster

_ASK_S = 5.0
_EVERY_MS = 2_000
#: A request ends within `_ASK_S`, with an answer or an error; after this long the client is taken for dead.
_UNANSWERED_MS = 10_000
#: The id that a broker without topic ids gives.
_ZERO = "AAAAAAAAAAAAAAAAAAAAAA"


def topic_ids(cluster: Cluster, names: Collection[str]) -> dict[str, str]:
    """Ids by name on the cluster; empty text where the broker tells none. A topic that is not there is left out.

    Raises
    ------
    ck.KafkaException
        The broker does not answer.
    """
    admin = cluster.admin(log_level=2)  # it must outlive its futures
    return _answers(_ask(admin, names))


class TopicChanges:
    """Asks now and then, without waiting for the answer, whether topics are there and still the same ones.

    Parameters
    ----------
    names
        On the cluster.
    clock
        Monotonic time, ms.

    Attributes
    ----------
    missing
        Those that were not there when they were last asked for.
    closed
        Those that this user might not read then.
    """

    def __init__(self, cluster: Cluster, names: Collection[str], clock: Callable[[], float] = ticks_ms) -> None:
        self.missing: tuple[str, ...] = ()
        self.closed: tuple[str, ...] = ()
        self._cluster = cluster
        self._names = tuple(names)
        self._clock = clock
        self._known: dict[str, str] = {}
        self._admin: AdminClient | None = None
        self._futures: Mapping[str, Any] = {}
        self._asked_ms = -float(_EVERY_MS)

    def any_remade(self, wait: bool = False) -> bool:
        """Whether one of them was deleted and made again since the last call.

        Parameters
        ----------
        wait
            Ask now and wait for the answer; a broker that does not give one knows of no change.
        """
        self._ask_if_due(wait)
        if not self._futures or not (wait or _done(self._futures)):
            return False
        futures, self._futures = self._futures, {}
        try:
            ids = _answers(futures)
        except ck.KafkaException:
            self._forget_client()
            return False
        self.missing = tuple(name for name in self._names if name not in ids)
        self.closed = tuple(name for name, answer in futures.items() if _closed(answer))
        changed = any(self._known.get(name, id_) != id_ for name, id_ in ids.items())
        self._known |= ids
        return changed

    def _ask_if_due(self, now: bool) -> None:
        since_ms = self._clock() - self._asked_ms
        if not _done(self._futures) and since_ms > _UNANSWERED_MS:
            self._forget_client()
        self._admin = self._admin or self._cluster.admin(log_level=2)
        if now or (not self._futures and since_ms >= _EVERY_MS):
            self._futures, self._asked_ms = _ask(self._admin, self._names), self._clock()

    def _forget_client(self) -> None:
        """Ask with a new client next time.

        One that has stopped answering would hide that a topic was made again, and nothing would be read from it.
        """
        self._futures, self._admin = {}, None


def _ask(admin: AdminClient, names: Collection[str]) -> Mapping[str, Any]:
    answers: Mapping[str, Any] = {}
    if names:
        collection = TopicCollection(list(names))
        answers = admin.describe_topics(collection, include_authorized_operations=True, request_timeout=_ASK_S)
    return answers


def _done(futures: Mapping[str, Any]) -> bool:
    return all(future.done() for future in futures.values())


def _closed(answer: Any) -> bool:
    """Whether a topic may not be read, as far as the broker tells."""
    allowed = allowed_operations("topic", answer)
    return allowed is not None and AclOperation.READ not in allowed


def _answers(pending: Mapping[str, Any]) -> dict[str, str]:
    ids = {}
    for name, answer in pending.items():
        try:
            id_ = str(answer.result(_ASK_S + 1).topic_id)
        except TimeoutError as error:
            raise ck.KafkaException(ck.KafkaError(ck.KafkaError._TIMED_OUT)) from error
        except ck.KafkaException as error:
            if error.args[0].code() == ck.KafkaError.UNKNOWN_TOPIC_OR_PART:
                continue
            if error.args[0].code() != ck.KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise
            id_ = _ZERO  # it may be read all the same
        ids[name] = "" if id_ == _ZERO else id_
    return ids
