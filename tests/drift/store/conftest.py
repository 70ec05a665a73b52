"""The servers that the contract is held against: embedded, one that the environment names, one in a container."""

import os
from collections.abc import Iterator
from uuid import uuid4

import msgspec
import pytest
from clickhouse_driver import Client

from drift.store import StoreSettings


@pytest.fixture(scope="session", params=["embedded", "named", pytest.param("container", marks=pytest.mark.live)])
def server(request: pytest.FixtureRequest) -> StoreSettings:
    """A server with a database for these tests."""
    if request.param == "named" and "DRIFTLINE_TEST_CLICKHOUSE" not in os.environ:
        pytest.skip("DRIFTLINE_TEST_CLICKHOUSE names no server")
    fixture = {"embedded": "embedded_clickhouse", "named": "clickhouse", "container": "container_clickhouse"}
    settings: StoreSettings = request.getfixturevalue(fixture[request.param])
    made = msgspec.structs.replace(settings, database=f"contract_{uuid4().hex[:12]}")
    with client_of(settings) as client:
        client.execute(f"CREATE DATABASE {made.database}")
    return made


@pytest.fixture(scope="session")
def container_clickhouse(container_engine: object) -> Iterator[StoreSettings]:
    """ClickHouse's own server in a container."""
    from testcontainers.community.clickhouse import ClickHouseContainer

    with ClickHouseContainer("clickhouse/clickhouse-server:25.8", username="test", password="test") as container:
        yield StoreSettings(
            host=container.get_container_host_ip(),
            port=int(container.get_exposed_port(9000)),
            user="test",
            password="test",
            database="",
            flavour="single",
        )


@pytest.fixture
def client(server: StoreSettings) -> Iterator[Client]:
    """A driver of the kind that anybody would use."""
    with client_of(server) as client:
        yield client


def client_of(settings: StoreSettings, **options: object) -> Client:
    """`clickhouse-driver` as it comes, with nothing of ours."""
    return Client(
        settings.host,
        port=settings.port,
        user=settings.user,
        password=settings.resolved_password(),
        database=settings.database,
        **options,
    )
