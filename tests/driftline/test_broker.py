"""The embedded broker against the real thing: no Java here is a mock, and every kill is a kill."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from driftline.broker import BrokerError, BrokerSettings, EmbeddedBroker, FolderInUse, aot, folder
from driftline.broker.jars import fetch, folder_name
from driftline.broker.ports import free_port
from driftline.broker.record import prepare
from streams.private import cache_folder

pytestmark = pytest.mark.system  # minutes: `make test-all`

GONE_S_MAX = 10


@pytest.fixture(scope="module", autouse=True)
def prepared() -> None:
    prepare()


def until(condition, deadline_s=GONE_S_MAX) -> None:
    """Wait for a condition; a `RetryError` when it does not come."""
    Retrying(retry=retry_if_result(lambda met: not met), stop=stop_after_delay(deadline_s), wait=wait_fixed(0.02))(
        condition
    )


def descendants() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def is_gone(pid: int) -> bool:
    """Whether the process ended, though its new parent may not have asked how."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def nobody_listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def make_topic(bootstrap: str, topic: str, partitions: int = 1) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for made in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
        made.result(timeout=20)


def produce_acknowledged(bootstrap: str, topic: str, values: list[bytes]) -> list[bytes]:
    """Produce the values; return those that all replicas acknowledged."""
    acknowledged: list[bytes] = []

    def on_delivery(error, message) -> None:
        if error is None:
            acknowledged.append(message.value())

    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "on_delivery": on_delivery})
    for value in values:
        producer.produce(topic, value=value)
    producer.flush(30)
    return acknowledged


@contextmanager
def reader(bootstrap: str, topic: str) -> Iterator[Consumer]:
    """A consumer of partition 0 from its beginning that sees committed records only."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "reader",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    yield consumer
    consumer.close()


def read(consumer: Consumer, count: int) -> list[bytes]:
    values: list[bytes] = []

    def enough() -> bool:
        for message in consumer.consume(2000, timeout=0.5):
            assert message.error() is None, message.error()
            values.append(message.value())
        return len(values) >= count

    until(enough, deadline_s=30)
    return values


def test_every_acknowledged_record_outlives_a_kill(tmp_path: Path) -> None:
    values = [b"%d" % number for number in range(20_000)]
    with EmbeddedBroker(tmp_path) as broker:
        make_topic(broker.bootstrap, "kept")
        acknowledged = produce_acknowledged(broker.bootstrap, "kept", values)
        os.kill(broker.pid, signal.SIGKILL)  # By a stranger, not by our own kill().
        until(lambda: broker.exit_code == -signal.SIGKILL)

        broker.start()
        broker.wait_ready()
        with reader(broker.bootstrap, "kept") as consumer:
            assert acknowledged == values == read(consumer, len(values))


def test_a_directory_serves_one_broker_at_a_time_and_stop_leaves_neither_process_nor_port(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path) as first:
        pid, port = first.pid, first.port
        make_topic(first.bootstrap, "kept")
        produce_acknowledged(first.bootstrap, "kept", [b"from the first"])
        with pytest.raises(FolderInUse, match=rf"{tmp_path} is in use by .*{first.bootstrap}.*{pid}; stop"):
            EmbeddedBroker(tmp_path).start()
        assert first.answers()
    assert first.exit_code == 128 + signal.SIGTERM  # What Java ends with when it stopped in order.
    assert not psutil.pid_exists(pid)
    assert nobody_listens(port)
    assert not first.answers()
    first.stop()  # Once more is no error.
    with EmbeddedBroker(tmp_path) as second, reader(second.bootstrap, "kept") as consumer:
        assert read(consumer, 1) == [b"from the first"]


OWNER = """
import sys, time
from pathlib import Path
from driftline.broker import EmbeddedBroker
with EmbeddedBroker(Path(sys.argv[1])) as broker:
    print(broker.pid, broker.port, flush=True)
    sys.stdin.read()
"""


def test_a_broker_ends_with_its_killed_owner(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pid, port = (int(word) for word in owner.stdout.readline().split())
    assert psutil.pid_exists(pid)
    owner.kill()
    owner.communicate()
    until(lambda: is_gone(pid))
    until(lambda: nobody_listens(port))
    with EmbeddedBroker(tmp_path) as successor:  # The claim on the directory went with it.
        assert successor.answers()


def test_a_taken_port_is_refused_and_the_next_start_is_a_recorded_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        broker = EmbeddedBroker(tmp_path, port)
        with pytest.raises(BrokerError, match=rf"cannot listen on 127.0.0.1:{port}: another program does"):
            broker.start()
    with broker:  # Nothing of the refused start stays behind.
        assert broker.bootstrap == f"127.0.0.1:{port}"
        assert f"-XX:AOTCache={aot.recorded_start()}" in psutil.Process(broker.pid).cmdline()
        assert not any(aot.REFUSED in line for line in folder.log_lines(tmp_path))


def test_a_thread_that_might_end_may_not_own_a_broker(tmp_path: Path) -> None:
    refused: list[BrokerError] = []

    def start() -> None:
        try:
            EmbeddedBroker(tmp_path).start()
        except BrokerError as error:
            refused.append(error)

    thread = threading.Thread(target=start, name="short-lived")
    thread.start()
    thread.join()
    assert "from the main thread, not from 'short-lived'" in str(refused[0])


def test_what_java_said_is_in_the_error(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path, settings=BrokerSettings(overrides={"num.io.threads": "many"}))
    with pytest.raises(BrokerError, match=r"(?s)exit code 1 .*broker\.log.*num\.io\.threads"), broker:
        pass
    assert broker.exit_code == 1


def test_an_answer_in_time_or_an_error(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path)
    broker.start()
    try:
        with pytest.raises(BrokerError, match=r"did not answer on 127\.0\.0\.1:\d+ within 0\.05 s"):
            broker.wait_ready(deadline_s=0.05)
    finally:
        broker.kill()


def test_a_misspelt_topic_is_not_made(embedded_kafka: str) -> None:
    admin = AdminClient({"bootstrap.servers": embedded_kafka})
    producer = Producer({"bootstrap.servers": embedded_kafka, "message.timeout.ms": 2000})
    producer.produce("requets", value=b"")
    producer.flush(20)
    assert "requets" not in admin.list_topics(timeout=10).topics


def test_a_dead_writers_transaction_blocks_readers_for_seconds_only(embedded_kafka: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}requests"
    make_topic(embedded_kafka, topic)
    dead = Producer(
        {
            "bootstrap.servers": embedded_kafka,
            "transactional.id": topic,
            "transaction.timeout.ms": 1000,
            "log_level": 0,
        }
    )
    dead.init_transactions(20)
    dead.begin_transaction()
    dead.produce(topic, value=b"never committed")
    assert dead.flush(20) == 0
    produce_acknowledged(embedded_kafka, topic, [b"behind it"])
    with reader(embedded_kafka, topic) as consumer:
        # Time-out 1 s, looked at every 1 s; Kafka's own settings would take 10 s more.
        until(lambda: [message.value() for message in consumer.consume(1, 0.2)] == [b"behind it"], deadline_s=6)
    with pytest.raises(KafkaException):
        dead.commit_transaction(20)


class TestRecordedStart:
    """It makes starts quicker, and may be damaged, foreign or fatal without failing one."""

    @pytest.fixture
    def own_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A cache with the user's jars and nothing else."""
        own = tmp_path / "cache"
        own.mkdir()
        (own / folder_name()).symlink_to(fetch())
        monkeypatch.setenv("DRIFTLINE_CACHE_DIR", str(own))
        assert cache_folder() == own
        return own

    def test_one_that_kills_java_is_thrown_away(
        self, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aot.recorded_start().touch()
        fatal = ("-XX:NoSuchFlag",)
        monkeypatch.setattr(aot, "flags", lambda: fatal if aot.recorded_start().exists() else ())
        with EmbeddedBroker(tmp_path / "kafka") as broker:
            assert broker.answers()
            assert not aot.recorded_start().exists()

    def test_a_damaged_one_is_thrown_away_and_the_one_being_made_ends_with_the_broker(
        self, own_cache: Path, tmp_path: Path
    ) -> None:
        aot.recorded_start().write_bytes(b"not what Java wrote")
        before = descendants()
        with EmbeddedBroker(tmp_path / "kafka") as broker:
            assert broker.answers()
            assert not aot.recorded_start().exists()
            # The worst moment: beside our broker and the recorder, Java and a Java that writes for it.
            until(lambda: list(own_cache.glob("rehearsal/new.aot*")), deadline_s=60)
            begun = descendants() - before
        until(lambda: all(is_gone(pid) for pid in begun), deadline_s=2)


def test_a_long_log_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "broker.log").write_bytes(b"-" * (folder.LOG_BYTES_MAX + 1))
    folder.put_log_aside(tmp_path)
    assert (tmp_path / "broker.log.1").stat().st_size == folder.LOG_BYTES_MAX + 1
    folder.open_log(tmp_path).close()
    assert folder.last_lines(tmp_path) == "    (it said nothing)"


def test_free_ports_differ_and_are_free() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        assert free_port(but=port) != port


def test_no_client_holds_a_partition_up_for_longer_than_a_minute(embedded_kafka):
    # An open transaction holds up all who read behind it, for as long as its producer asked for.
    producer = Producer(
        {"bootstrap.servers": embedded_kafka, "transactional.id": "patient", "transaction.timeout.ms": 900_000}
    )
    with pytest.raises(KafkaException) as refused:
        producer.init_transactions(30)
    assert refused.value.args[0].code() == KafkaError.INVALID_TRANSACTION_TIMEOUT
