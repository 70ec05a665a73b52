"""A recorded start: Java's ahead-of-time cache (JEP 514), which halves the time a broker takes to be ready.

The cache holds Kafka's classes loaded, linked and profiled. It fits one Java, one set of jars and one set of
flags, which its name therefore says. It is made once per user by `record`, and a start never depends on it:
where it is missing, the start is slower; where Java refuses it, Java goes on without; where Java dies of it,
`server` tries without. In both cases it is thrown away and made anew.
"""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import IO

from driftline.broker import java
from driftline.broker.jars import KAFKA_VERSION, folder_name
from streams.private import cache_folder

# What Java prints when it finds the cache damaged, or made for something else, and goes on without.
REFUSED = "[error][aot]"


def recorded_start() -> Path:
    """Where the cache for this Java, these jars and these flags lies, or would lie."""
    fits = "\n".join((java.version(), folder_name(), *java.FLAGS))
    digest = hashlib.sha256(fits.encode()).hexdigest()[:12]
    return cache_folder() / f"kafka-{KAFKA_VERSION}-java-{java.version()}-{digest}.aot"


def flags() -> tuple[str, ...]:
    """The flags that make Java use the cache; none where there is no cache."""
    path = recorded_start()
    return (f"-XX:AOTCache={path}",) if path.is_file() else ()


def discard() -> None:
    """Throw the cache away, because Java cannot use it."""
    recorded_start().unlink(missing_ok=True)


def record_in_background(log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Record a start beside the one that just succeeded; the process ends by itself, or with us."""
    return java.spawn([sys.executable, "-m", "driftline.broker.record"], cwd=cache_folder(), log=log)
