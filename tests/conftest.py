"""What the tests of every package share: a Kafka, names of their own in it, a container engine.

`DRIFTLINE_TEST_KAFKA=host:port` runs them against that broker instead of an embedded one;
`--require-docker` turns what is skipped for want of a container engine into failures.
"""

import os
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--require-docker", action="store_true", help="fail, instead of skip, without a container engine")


@pytest.fixture(scope="session")
def embedded_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one embedded broker for the session (under xdist: for the worker)."""
    from driftline.broker import EmbeddedBroker
    from driftline.broker.record import prepare

    prepare()
    with EmbeddedBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker.bootstrap


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> str:
    """The address of a Kafka; shared, so name everything by `topic_prefix`."""
    return os.environ.get("DRIFTLINE_TEST_KAFKA") or request.getfixturevalue("embedded_kafka")


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for topics, groups and transactional ids that no other test has."""
    return f"test-{uuid4().hex[:12]}."


@pytest.fixture(scope="session")
def container_engine(request: pytest.FixtureRequest) -> Any:
    """A client of the container engine; skips where none answers, or fails under `--require-docker`."""
    import docker

    try:
        engine = docker.from_env(timeout=10)
        engine.ping()
    except docker.errors.DockerException as cause:
        reason = f"no container engine answers: {cause}"
        if request.config.getoption("--require-docker"):
            pytest.fail(reason)
        pytest.skip(reason)
    return engine
