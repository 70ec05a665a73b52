"""Kafka's jars, from a repository on loopback that serves what this user's cache has, or something else."""

import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from driftline.broker import JarMismatch, JarsUnavailable
from driftline.broker.jars import PINS, class_path, fetch, folder_name, pins, verify
from streams.private import cache_folder

pytestmark = pytest.mark.system  # all of Kafka's jars, again and again

JAR = "org/slf4j/slf4j-simple/1.7.36/slf4j-simple-1.7.36.jar"


@pytest.fixture(scope="module")
def jars() -> Path:
    return fetch()


class Repository:
    """A Maven repository on loopback: the folder `root`, and how often each file was asked for."""

    def __init__(self, root: Path) -> None:
        asked = self.asked = Counter[str]()

        class Counting(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                asked[self.path] += 1
                super().do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Counting, directory=str(root)))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def repository(jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A repository with a copy of every jar; the cache is empty and the environment points at both."""
    shutil.copytree(jars, tmp_path / "repository")
    served = Repository(tmp_path / "repository")
    monkeypatch.setenv("DRIFTLINE_MAVEN_URL", served.url)
    monkeypatch.setenv("DRIFTLINE_CACHE_DIR", str(tmp_path / "cache"))
    yield served
    served.server.shutdown()
    served.server.server_close()


def left_in_cache() -> set[str]:
    return {path.name for path in cache_folder().iterdir()} - {"download.lock"}


def test_processes_that_start_at_once_download_once(repository: Repository) -> None:
    program = "from driftline.broker.jars import fetch; print(fetch())"
    starts = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = [start.communicate(timeout=120) for start in starts]
    assert answers == [(f"{cache_folder() / folder_name()}\n", "")] * 3  # And no progress bar: not a terminal.
    verify(cache_folder() / folder_name(), pins(PINS.read_text()))
    jars_asked = {path: times for path, times in repository.asked.items() if path.endswith(".jar")}
    assert jars_asked == {f"/{path}": 1 for path in pins(PINS.read_text())}
    assert left_in_cache() == {folder_name()}


def test_a_cached_folder_needs_no_network(repository: Repository) -> None:
    fetch()
    repository.asked.clear()
    assert all(Path(jar).is_file() for jar in class_path(fetch()).split(":"))
    assert not repository.asked


def test_a_jar_that_differs_is_refused(repository: Repository, tmp_path: Path) -> None:
    with (tmp_path / "repository" / JAR).open("ab") as jar:
        jar.write(b"and a little more")
    with pytest.raises(JarMismatch, match=rf"cannot use {JAR}: its sha256 must be \w{{64}}, got \w{{64}};"):
        fetch()
    assert left_in_cache() == set()


def test_a_jar_that_is_missing_is_named(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "repository" / JAR).unlink()
    with pytest.raises(JarsUnavailable, match=r"slf4j-simple.*not found.*driftline broker --fetch"):
        fetch()
    assert left_in_cache() == set()


def test_without_cache_and_network_the_error_names_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE_MAVEN_URL", "http://127.0.0.1:9")  # Nobody listens on the discard port.
    monkeypatch.setenv("DRIFTLINE_CACHE_DIR", str(tmp_path))
    with pytest.raises(JarsUnavailable, match=r"`driftline broker --fetch` once with a network.*a mirror.*copy"):
        fetch()


def test_what_a_killed_download_left_is_swept(repository: Repository) -> None:
    left = cache_folder() / f"{folder_name()}.partial" / JAR
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    fetch()
    assert left_in_cache() == {folder_name()}


def test_the_pins_are_complete_and_exact() -> None:
    pinned = pins(PINS.read_text())
    assert list(pinned) == sorted(pinned)
    assert all(len(digest) == 64 for digest in pinned.values())
    assert {"org/apache/kafka/kafka_2.13/4.3.0/kafka_2.13-4.3.0.jar", JAR} <= set(pinned)
