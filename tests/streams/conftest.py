"""A cluster with our topics, under a prefix of its own."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster


@pytest.fixture
def cluster(kafka: str, topic_prefix: str) -> Cluster:
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout(requests=2))
    return cluster


@pytest.fixture(scope="module")
def module_cluster(kafka: str, module_prefix: str) -> Cluster:
    """One for all tests of a module, which only read what a fixture has written."""
    cluster = Cluster(bootstrap=kafka, prefix=module_prefix)
    create(cluster, Layout(requests=2))
    return cluster


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], Any], Any], None]:
    """Assert what comes true soon: a commit returns a moment before its markers are on every partition."""

    def wait(read: Callable[[], Any], expected: Any) -> None:
        deadline = time.monotonic() + 15
        while (found := read()) != expected and time.monotonic() < deadline:
            time.sleep(0.02)
        assert found == expected

    return wait
