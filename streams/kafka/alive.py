"""Whether a broker answers now: what a role asks all the time."""

import confluent_kafka as ck

from streams.kafka.cluster import Cluster

_ANSWER_S = 5.0


class BrokerAway(Exception):
    """No broker answers; the text says where, and what to do."""


class Broker:
    """Asks a cluster for the metadata of one topic, by one client that is kept while it gets answers.

    Parameters
    ----------
    cluster, topic
        Which cluster, and the logical name of the topic.
    """

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self._cluster, self._topic = cluster, topic
        self._client: ck.Consumer | None = None

    def ask(self) -> None:
        """Return if a broker answers; called by one thread.

        Raises
        ------
        BrokerAway
            None does.
        """
        if self._client is None:
            # A reader, and no admin client: librdkafka's other clients make a topic that they ask for. It is asked
            # again and again, so it is silent where the broker is away.
            self._client = self._cluster.reader(log_level=0)
        try:
            self._client.list_topics(self._cluster.topic(self._topic), timeout=_ANSWER_S)
        except ck.KafkaException as error:
            self._client.close()
            self._client = None
            raise BrokerAway(
                f"no Kafka broker answers at {self._cluster.bootstrap}: {error.args[0].str()}; records wait for it; "
                "start it, or mend kafka.bootstrap"
            ) from error
