"""What the tests of every package share: a Kafka, names of their own in it, a ClickHouse, a container engine.

`DRIFTLINE_TEST_KAFKA=host:port` and `DRIFTLINE_TEST_CLICKHOUSE=clickhouse://user@host:port` (its password in
`DRIFTLINE_TEST_CLICKHOUSE_PASSWORD`) run them against those servers instead of embedded ones;
`--require-docker` turns what is skipped for want of a container engine into failures.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import hypothesis
import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the modules beside this file

from sharing import shared

if TYPE_CHECKING:
    from drift.store import Store, StoreSettings


# How long an example takes says how busy the machine is, and nothing else.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

#: Tests of the whole system, which take most of the time: `make test-all` runs them, `make test` does not.
SYSTEM = Path(__file__).parent / "system"
#: Examples that start a server, in modules whose others are quick.
SERVERS_OF_EXAMPLES = frozenset({"driftline.broker.server.EmbeddedBroker"})
#: Programs for other libraries' environments, and no tests.
collect_ignore = ["drift/peers"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--peers", action="store_true", help="ask NannyML itself, in an environment of 1 GB made for it")
    parser.addoption("--require-docker", action="store_true", help="fail, instead of skip, without a container engine")
    parser.addoption("--faults-runs", type=int, default=20, help="faults inflicted on the system")
    parser.addoption("--faults-seed", type=int, default=1, help="decides which faults, when, and on what requests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What lies in `tests/system`, and an example that starts a server, is of the system tier. Tests that take minutes
    begin first, so that the workers end at about the same time.

    xdist's workers begin with a stretch of the list each, and steal from the end of the others': what shares a browser
    and a store full of scenes stands at the end, and is one worker's.
    """
    for item in items:
        if SYSTEM in item.path.parents or item.name in SERVERS_OF_EXAMPLES:
            item.add_marker(pytest.mark.system)
    order = {"faults": 0, "path": 0, "dashboards": 2}
    items.sort(key=lambda item: order.get(item.path.parent.name, 1))


@pytest.fixture(autouse=True)
def own_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands send their logs to stderr, and that is the whole process's: the next test begins without."""
    from streams import logs

    monkeypatch.setattr(logs, "_to_stderr", False)
    yield
    if "structlog" in sys.modules:
        import structlog

        structlog.reset_defaults()


@pytest.fixture(scope="session")
def embedded_kafka(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of one embedded broker for the session, whatever its workers are."""
    from driftline.broker import EmbeddedBroker
    from driftline.broker.record import prepare

    @contextmanager
    def broker(folder: Path) -> Iterator[str]:
        prepare()
        with EmbeddedBroker(folder) as running:
            yield running.bootstrap

    return shared(pytestconfig, tmp_path_factory, "kafka", broker)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> str:
    """The address of a Kafka; shared, so name everything by `topic_prefix`."""
    return os.environ.get("DRIFTLINE_TEST_KAFKA") or request.getfixturevalue("embedded_kafka")


def _prefix() -> str:
    return f"test-{uuid4().hex[:12]}."


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for topics, groups and transactional ids that no other test has."""
    return _prefix()


@pytest.fixture(scope="module")
def module_prefix() -> str:
    """The same for topics that are written once, and that the tests of one module only read."""
    return _prefix()


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


@pytest.fixture(scope="session")
def embedded_clickhouse(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> "StoreSettings":
    """One embedded store for the session, whatever its workers are, in a process of its own."""
    from drift.store import StoreSettings
    from drift.store.server import StoreProcess

    @contextmanager
    def store(folder: Path) -> Iterator[str]:
        with StoreProcess(folder) as process:
            yield msgspec.json.encode(process.settings()).decode()

    return msgspec.json.decode(shared(pytestconfig, tmp_path_factory, "store", store), type=StoreSettings)


@pytest.fixture(scope="session")
def clickhouse(request: pytest.FixtureRequest) -> "StoreSettings":
    """A ClickHouse: the one that DRIFTLINE_TEST_CLICKHOUSE names (clickhouse://user@host:port), else an embedded one.

    Shared, and without a database: take `store`, or name your own.
    """
    from drift.store import StoreSettings

    if url := os.environ.get("DRIFTLINE_TEST_CLICKHOUSE"):
        password = os.environ.get("DRIFTLINE_TEST_CLICKHOUSE_PASSWORD", "")
        return StoreSettings.from_url(url, password, database="")
    return request.getfixturevalue("embedded_clickhouse")


@contextmanager
def _database(clickhouse: "StoreSettings") -> Iterator["Store"]:
    from drift.store import Store, migrate

    settings = msgspec.structs.replace(clickhouse, database=f"test_{uuid4().hex[:12]}")
    migrate(settings)
    store = Store.connect(settings)
    yield store
    store.rows(f"DROP DATABASE `{settings.database}`")
    store.close()


@pytest.fixture
def store(clickhouse: "StoreSettings") -> Iterator["Store"]:
    """A store with a database of its own and our schema in it."""
    with _database(clickhouse) as store:
        yield store


@pytest.fixture(scope="module")
def module_store(clickhouse: "StoreSettings") -> Iterator["Store"]:
    """The same for the tests of one module, which only read it, or look at what each has added: our schema is half a
    second's work.
    """
    with _database(clickhouse) as store:
        yield store
