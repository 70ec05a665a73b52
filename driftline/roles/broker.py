"""The broker: the embedded Kafka in the foreground."""

import signal
import threading

from driftline.broker import BrokerError, EmbeddedBroker
from driftline.broker.record import prepare
from driftline.settings import Settings

_LOOK_S = 0.2


def fetch() -> None:
    """Download what the broker needs, and record a start."""
    prepare()


def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT.

    Raises
    ------
    BrokerError
        It ended by itself.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with EmbeddedBroker(settings.data_dir / "kafka", settings.kafka.port) as broker:
        while not stopping.wait(_LOOK_S):
            if broker.exit_code is not None:
                raise BrokerError(
                    f"the broker ended with code {broker.exit_code}; see {settings.data_dir}/kafka/broker.log"
                )
