"""A plain sender for tools: no transaction, but nothing is dropped in silence."""

import confluent_kafka as ck

from streams.kafka.cluster import Cluster

#: What waits in memory for the broker at the most; beyond it, `Sender.send` waits.
BUFFER_BYTES_MAX = 33_554_432
#: After this long without the broker's word a message counts as failed.
DELIVERY_MS_MAX = 30_000


class Sender:
    """Sends single messages, counts what has arrived, and keeps the first reason why one has not.

    Attributes
    ----------
    arrived, failed
        Messages that the broker has taken, and that it has not.
    why
        The first failure in words.
    places
        Offsets of what has arrived, as ``[first, end]`` ranges by partition, of all topics together: meant for a sender
        of one topic. Ranges are few: messages of one sender lie one behind the other.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.arrived = 0
        self.failed = 0
        self.why = ""
        self.places: dict[int, list[list[int]]] = {}
        limits = {"queue.buffering.max.kbytes": BUFFER_BYTES_MAX // 1024, "message.timeout.ms": DELIVERY_MS_MAX}
        self._cluster = cluster
        self._producer = cluster.producer(None, **limits)

    def send(self, topic: str, value: bytes, key: bytes | None = None, partition: int | None = None) -> None:
        """Hand one message over; waits where the buffer is full. The key, or else chance, decides its partition, where
        none is named.

        Parameters
        ----------
        topic
            Logical name.
        value, key
            Of the message.
        partition
            Where it goes; None leaves that to the key, or else to chance.
        """
        named = {} if partition is None else {"partition": partition}
        while True:
            try:
                self._producer.produce(self._cluster.topic(topic), value, key, on_delivery=self._delivered, **named)
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(0.1)
            except ck.KafkaException as error:  # too large to be tried
                self._fail(error.args[0])
                return

    def finish(self) -> None:
        """Wait until the broker has said yes or no to everything."""
        self._producer.flush()

    def _delivered(self, error: ck.KafkaError | None, message: ck.Message) -> None:
        if error is None:
            self.arrived += 1
            ranges, offset = self.places.setdefault(message.partition(), []), message.offset()
            if ranges and ranges[-1][1] == offset:
                ranges[-1][1] += 1
            else:
                ranges.append([offset, offset + 1])
        else:
            self._fail(error)

    def _fail(self, error: ck.KafkaError) -> None:
        self.failed += 1
        self.why = self.why or str(error.str())
