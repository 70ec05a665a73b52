"""The embedded broker: Apache Kafka as a child of this process, started, watched and stopped."""

import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from driftline.broker import aot, folder, jars, java
from driftline.broker.config import BrokerSettings, server_properties
from driftline.broker.errors import BrokerError
from driftline.broker.ports import HOST, free_port, is_free

LOOK_EVERY_S = 0.02


class EmbeddedBroker:
    """One broker on loopback over one data directory.

    It ends with the process that started it, however that ends. Records that were acknowledged survive a
    kill of the broker; they are in the page cache, so a power cut may take the last of them.

    Parameters
    ----------
    data_dir
        Made and formatted on first use, then reused.
    port
        0 finds a free one at the first start; this object keeps it for its later starts.
    settings
        What may be chosen; see `BrokerSettings`.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, EmbeddedBroker(Path(folder)) as broker:
    ...     broker.answers()
    True
    """

    def __init__(self, data_dir: Path, port: int = 0, settings: BrokerSettings | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port
        self.settings = settings or BrokerSettings()
        self._claim: IO[str] | None = None
        self._java: subprocess.Popen[bytes] | None = None
        self._recorder: subprocess.Popen[bytes] | None = None
        self._class_path = ""
        self._aot_flags: tuple[str, ...] = ()
        self._log_start = 0

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """What clients take as `bootstrap.servers`."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the broker's Java."""
        assert self._java is not None, "the broker was not started"
        return self._java.pid

    @property
    def exit_code(self) -> int | None:
        """None while the broker runs; else what it ended with, negative for a signal."""
        assert self._java is not None, "the broker was not started"
        return self._java.poll()

    def start(self) -> None:
        """Start the broker and return at once; on the first use of a directory, after formatting it (1 s).

        Call it from the main thread; `wait_ready` tells when the broker answers.

        Raises
        ------
        FolderInUse
            Another broker holds the data directory.
        BrokerError
            The port is taken, Kafka's jars are not to be had, or the directory cannot be formatted.
        """
        assert self._java is None or self.exit_code is not None, f"the broker runs already, process {self.pid}"
        self._class_path = jars.class_path(jars.fetch())
        if self._claim is None:
            self._claim = folder.claim(self.data_dir)
        try:
            self._aot_flags = aot.flags() if self.settings.aot else ()
            folder.format_once(self.data_dir, self._class_path, self._aot_flags)
            self._take_ports()
            self._launch()
        except BaseException:
            self._release()
            raise

    def wait_ready(self, deadline_s: float = 60.0) -> None:
        """Return when the broker answers a client.

        Raises
        ------
        BrokerError
            It ended before it answered, or did not answer within `deadline_s`; with the end of its log.
        """
        looking = Retrying(
            retry=retry_if_result(lambda ready: not ready),
            stop=stop_after_delay(deadline_s),
            wait=wait_fixed(LOOK_EVERY_S),
        )
        fell_back = False
        while True:
            try:
                looking(self._answers_or_ended)
            except RetryError:
                raise self._failure(f"did not answer on {self.bootstrap} within {deadline_s:g} s") from None
            if self.exit_code is None:
                break
            if not self._aot_flags:
                raise self._failure(f"ended with exit code {self.exit_code} before it was ready")
            self._aot_flags, fell_back = (), True
            self._launch()
        if self.settings.aot:
            self._keep_recorded(fell_back)

    def answers(self, deadline_s: float = 1.0) -> bool:
        """Whether a client gets the cluster's metadata from the broker; the health check.

        Reads nothing but the answer, so it may be asked as often as one likes.
        """
        # The port first: it costs next to nothing, and a client would wait between its tries.
        with socket.socket() as probe:
            probe.settimeout(deadline_s)
            if probe.connect_ex((HOST, self.port)) != 0:
                return False
        client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        try:
            return len(client.list_topics(timeout=deadline_s).brokers) > 0
        except KafkaException:
            return False

    def stop(self, deadline_s: float = 15.0) -> None:
        """End the broker in order (0.4 s), or by force when it has not ended within `deadline_s`."""
        self._stop_recorder()
        if self._java is not None and self._java.poll() is None:
            self._java.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._java.wait(deadline_s)
        self.kill()

    def kill(self) -> None:
        """End the broker with SIGKILL, as a crash would, and wait until it is gone."""
        self._stop_recorder()
        if self._java is not None and self._java.poll() is None:
            # The whole session: Java itself may have a child, when it writes a recorded start.
            os.killpg(self._java.pid, signal.SIGKILL)
            self._java.wait()
        self._release()

    def _take_ports(self) -> None:
        if self.port and not is_free(self.port):
            raise BrokerError(
                f"cannot listen on {self.bootstrap}: another program does; stop it, or choose another port"
            )
        self.port = self.port or free_port()

    def _launch(self) -> None:
        assert self._claim is not None
        properties = server_properties(self.settings, self.port, free_port(but=self.port))
        (self.data_dir / "server.properties").write_text(properties)
        flags = (f"-Xmx{self.settings.heap_mb_max}m", *self._aot_flags, *self.settings.java_flags)
        kafka = java.command("kafka.Kafka", "server.properties", class_path=self._class_path, flags=flags)
        folder.put_log_aside(self.data_dir)
        with folder.open_log(self.data_dir) as log:
            self._log_start = log.seek(0, os.SEEK_END)
            self._java = java.spawn(kafka, cwd=self.data_dir, log=log, inherit=(self._claim.fileno(),))
        folder.sign(self._claim, f"the broker on {self.bootstrap}, process {self._java.pid}")

    def _keep_recorded(self, fell_back: bool) -> None:
        """Throw away a recorded start that Java cannot use; have one made where there is none."""
        if fell_back or any(aot.REFUSED in line for line in folder.log_lines(self.data_dir, self._log_start)):
            aot.discard()
        if not aot.flags() and self._recorder is None:
            with folder.open_log(self.data_dir) as log:
                self._recorder = aot.record_in_background(log)

    def _answers_or_ended(self) -> bool:
        return self.exit_code is not None or self.answers()

    def _failure(self, what: str) -> BrokerError:
        log_end = folder.last_lines(self.data_dir, self._log_start)
        return BrokerError(f"the embedded broker {what}; the end of {self.data_dir / 'broker.log'}:\n{log_end}")

    def _stop_recorder(self) -> None:
        if self._recorder is not None:
            self._recorder.terminate()
            try:
                self._recorder.wait(5)
            except subprocess.TimeoutExpired:
                self._recorder.kill()
                self._recorder.wait()
            self._recorder = None

    def _release(self) -> None:
        if self._claim is not None:
            self._claim.close()
            self._claim = None
