"""Kafka's jars: which ones, where they are kept, and the proof that they are the ones that were tested.

`jars.sha256` beside this file names every jar by its path in a Maven repository and pins its content; `pin`
makes it anew. With the whole answer written down nothing is resolved at run time: the jars are downloaded,
checked against their pins, and the folder gets its name only when all of them are right. A folder that has
its name is therefore complete, and a start needs no network. `sha256sum -c` reads the file as well.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from driftline.broker.errors import BrokerError, JarMismatch, JarsUnavailable
from streams.private import cache_folder

KAFKA_VERSION = "4.3.0"
PINS = Path(__file__).with_name("jars.sha256")
DOWNLOADS_MAX = 4
TIMEOUT_S_MAX = 30


def pins(text: str) -> dict[str, str]:
    """The jars named in a pin file: repository path -> sha256, in the order of the class path.

    >>> pins("0a1b  org/slf4j/slf4j-api/1.7.36/slf4j-api-1.7.36.jar")
    {'org/slf4j/slf4j-api/1.7.36/slf4j-api-1.7.36.jar': '0a1b'}
    """
    return {path: digest for digest, path in (line.split() for line in text.splitlines())}


def coordinate(path: str) -> tuple[str, str, str]:
    """Group, artifact and version of a repository path.

    >>> coordinate("org/slf4j/slf4j-api/1.7.36/slf4j-api-1.7.36.jar")
    ('org.slf4j', 'slf4j-api', '1.7.36')
    """
    *group, artifact, version, _ = path.split("/")
    return ".".join(group), artifact, version


@cache
def folder_name() -> str:
    """The jars' folder inside the cache; other pins are another folder, so versions live side by side."""
    return f"kafka-{KAFKA_VERSION}-{hashlib.sha256(PINS.read_bytes()).hexdigest()[:12]}"


def class_path(folder: Path) -> str:
    """What `java -cp` takes; the order is that of the pins, so it is the same everywhere."""
    return os.pathsep.join(str(folder / path) for path in pins(PINS.read_text()))


def fetch(progress: bool = True) -> Path:
    """The folder with Kafka's jars, downloaded first where it is not there yet (46 jars, 45 MB, once).

    Any number of processes may ask at once: one downloads, the others wait for it.

    Parameters
    ----------
    progress
        Show a bar on stderr while downloading, when stderr is a terminal.

    Raises
    ------
    JarsUnavailable
        Not in the cache, and the repository did not give them.
    JarMismatch
        A jar differs from its pin; nothing of the download is kept.
    """
    folder = cache_folder() / folder_name()
    if not folder.is_dir():
        with exclusively(cache_folder() / "download.lock"):
            if not folder.is_dir():
                _download_all(folder, progress)
    return folder


@contextmanager
def exclusively(lock: Path) -> Iterator[None]:
    """Wait until no other process is inside; `lock` is a file that is made for the purpose."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # Given back by the kernel if we die.
        yield


def verify(folder: Path, pinned: dict[str, str]) -> None:
    """Raise `JarMismatch` unless every pinned jar lies in `folder` with its pinned content."""
    for path, expected in pinned.items():
        came = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        if came != expected:
            raise JarMismatch(
                f"cannot use {path}: its sha256 must be {expected}, got {came}; "
                f"the download was thrown away: try again, and if it comes again, "
                f"do not trust the repository ({_repository()})"
            )


def _download_all(folder: Path, progress: bool) -> None:
    # Beside its place and then renamed: whoever sees the folder sees all of it, whenever we die.
    beside = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        pinned = pins(PINS.read_text())
        context = maven(beside)
        console = Console(stderr=True)
        with ThreadPoolExecutor(DOWNLOADS_MAX) as pool:
            arrivals = pool.map(lambda path: _download(context, beside, path), pinned)
            for _ in track(
                arrivals,
                f"Kafka {KAFKA_VERSION} (once)",
                total=len(pinned),
                console=console,
                disable=not (progress and console.is_terminal),
            ):
                pass
        verify(beside, pinned)
        beside.rename(folder)
    except BrokerError:
        raise
    except (OSError, RuntimeError) as cause:  # A connection that broke; jgo's word for "not there".
        raise JarsUnavailable(
            f"cannot get Apache Kafka {KAFKA_VERSION} from {_repository()}: {cause}; "
            f"run `driftline broker --fetch` once with a network, set DRIFTLINE_MAVEN_URL to a mirror, "
            f"or copy {folder} from a machine that has it"
        ) from cause
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@retry(
    retry=retry_if_exception_type(OSError),  # What `requests` raises is an OSError.
    stop=stop_after_attempt(3),
    wait=wait_random_exponential(max=2),
    reraise=True,
)
def _download(context: Any, folder: Path, path: str) -> None:
    (folder / path).unlink(missing_ok=True)  # What a broken connection left would count as cached.
    group, artifact, version = coordinate(path)
    context.project(group, artifact).at_version(version).artifact().resolve()


def maven(repo_cache: Path) -> Any:
    """jgo's view of the repository, keeping what it downloads in `repo_cache` in the repository's layout."""
    try:
        from jgo.maven import MavenContext
    except ImportError as cause:
        raise BrokerError(f"{cause}; the embedded broker needs: pip install 'driftline[broker]'") from cause
    return MavenContext(repo_cache=repo_cache, remote_repos={"central": _repository()}, timeout=TIMEOUT_S_MAX)


def _repository() -> str:
    if mirror := os.environ.get("DRIFTLINE_MAVEN_URL"):
        return mirror.rstrip("/")
    import jgo

    return str(jgo.MAVEN_CENTRAL_URL)
