"""A worker as one writes it by hand: confluent-kafka, a transaction a batch, offsets in it, `earliest` for a new group.

Nothing of ours. ``python plain_worker.py BOOTSTRAP PREFIX SLOT [HANG_AT]`` copies PREFIXrequests to PREFIXpredictions
and says on stdout when partitions come. With HANG_AT it leaves a transaction open, its offsets in it, as soon as it
has copied so many records and then some of every partition; says ``open`` and waits to be killed.
"""

import sys
import time

import confluent_kafka as ck


def say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def main() -> None:
    bootstrap, prefix, slot, *rest = sys.argv[1:]
    hang_at = int(rest[0]) if rest else None

    producer = ck.Producer(
        {"bootstrap.servers": bootstrap, "transactional.id": prefix + slot, "transaction.timeout.ms": 6_000}
    )
    producer.init_transactions()
    consumer = ck.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": prefix + "score",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": 2_000,
            "heartbeat.interval.ms": 300,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([prefix + "requests"], on_assign=lambda _, partitions: say("assigned"))
    partitions = len(consumer.list_topics(prefix + "requests", timeout=10).topics[prefix + "requests"].partitions)

    copied, held = 0, set()
    while True:
        messages = [m for m in consumer.consume(40, 0.1) if not m.error()]
        if not messages:
            continue
        if not held:
            producer.begin_transaction()
        for m in messages:
            producer.produce(prefix + "predictions", m.value(), partition=m.partition())
        ends = {m.partition(): m.offset() + 1 for m in messages}
        offsets = [ck.TopicPartition(prefix + "requests", p, end) for p, end in ends.items()]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata())
        copied += len(messages)
        if hang_at is None or copied < hang_at:
            producer.commit_transaction()
            continue
        held |= set(ends)
        if len(held) == partitions:
            producer.flush()
            say("open")
            time.sleep(600)


if __name__ == "__main__":
    main()
