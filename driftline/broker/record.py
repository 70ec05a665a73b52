"""Records a start for `aot`: a rehearsal of a broker's day, after which Java writes down what it needed.

`python -m driftline.broker.record` is what a broker runs beside itself, at the lowest priority, where no
recording is found. It takes some ten seconds, most of them Java's writing (60 MB).
"""

import os
import shutil
import signal
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from rich.console import Console

from driftline.broker.aot import recorded_start
from driftline.broker.config import BrokerSettings
from driftline.broker.errors import BrokerError
from driftline.broker.jars import exclusively, fetch
from driftline.broker.server import EmbeddedBroker
from streams.private import cache_folder

WRITE_S_MAX = 120.0


def record() -> Path:
    """Record a start, unless there is a recording; any number of processes may ask at once."""
    target = recorded_start()
    with exclusively(cache_folder() / "record.lock"):
        if not target.is_file():
            stage = cache_folder() / "rehearsal"
            shutil.rmtree(stage, ignore_errors=True)
            stage.mkdir()
            try:
                _record_into(stage / "new.aot", stage / "broker")
                (stage / "new.aot").rename(target)
            finally:
                shutil.rmtree(stage, ignore_errors=True)
    return target


def prepare(progress: bool = True) -> None:
    """Have everything a quick start needs: the jars, and a recorded start (30 s, once; then nothing).

    Without the jars it raises what `jars.fetch` raises; without a recorded start it only warns.
    """
    fetch(progress)
    if not recorded_start().is_file():
        console = Console(stderr=True)
        shown = console.status("recording a start, which halves all later ones (once)")
        with shown if progress and console.is_terminal else nullcontext():
            try:
                record()
            except (BrokerError, KafkaException, OSError) as cause:
                warnings.warn(f"no start was recorded, so each takes 2 s, not 1: {cause}", stacklevel=2)


def _record_into(output: Path, data_dir: Path) -> None:
    settings = BrokerSettings(aot=False, java_flags=(f"-XX:AOTCacheOutput={output}",))
    broker = EmbeddedBroker(data_dir, settings=settings)
    try:
        broker.start()
        broker.wait_ready()
        rehearse(broker.bootstrap)
        broker.stop(deadline_s=WRITE_S_MAX)
    finally:
        broker.kill()  # Not stopped in order when we are told to end: the writing takes seconds.
    if not output.is_file():
        raise BrokerError(f"Java recorded no start: {output} is missing; starts stay slower, and nothing else")


def rehearse(bootstrap: str) -> None:
    """What our workers do on their first second: make a topic, write in a transaction, join a group, read."""
    client = {"bootstrap.servers": bootstrap, "log_level": 0}
    admin = AdminClient(client)
    for made in admin.create_topics([NewTopic("rehearsal", 1, 1)]).values():
        made.result(timeout=30)
    consumer = Consumer(
        client
        | {
            "group.id": "rehearsal",
            "group.protocol": "consumer",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(["rehearsal"])
    producer = Producer(client | {"transactional.id": "rehearsal", "compression.type": "lz4"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce("rehearsal", value=b"line")
    producer.flush(30)
    consumer.consume(1, timeout=1)
    offsets = [TopicPartition("rehearsal", 0, 0, metadata="line")]
    producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 30)
    producer.commit_transaction(30)
    consumer.consume(1, timeout=5)
    consumer.close()


if __name__ == "__main__":
    os.nice(19)
    # So that the broker in rehearsal is stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    record()
