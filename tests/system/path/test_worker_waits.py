"""A worker waits for what it cannot answer yet, and says for what; only what truly does not exist is refused."""

import json
from typing import Any

import pytest
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from driftline.commands.model_workers import wait_until_served
from inference import Registry
from streams.kafka import ranges
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.kafka.sender import Sender
from streams.routes import announce
from streams.wire.records import Route

pytestmark = pytest.mark.timeout(300)

TOML = """
name = "{name}"
version = "v1"
task = "regression"
artefact = "model.py:Double"
[[inputs]]
name = "x"
required = true
"""
CODE = """
class Double:
    def load(self, device): ...
    def predict(self, batch):
        return batch["x"] * 2
"""


def package(folder, name):
    folder.mkdir()
    (folder / "model.toml").write_text(TOML.format(name=name))
    (folder / "model.py").write_text(CODE)
    return folder


def test_requests_wait_for_the_first_model_and_for_one_that_cannot_be_loaded(kafka, topic_prefix, tmp_path, roles):
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout(requests=2))
    registry = Registry(tmp_path / "models")

    def send(first: int, count: int, **more: Any) -> None:
        sender = Sender(cluster)
        for n in range(first, first + count):
            sender.send("requests", json.dumps({"id": str(n), **more, "features": {"x": n}}).encode())
        sender.finish()
        assert sender.arrived == count

    def route(name: str) -> Route:
        return announce(cluster, lambda book: Route(model=name, epoch=0, ts=0, champion="v1"))

    def answered() -> dict[str, float]:
        values = [json.loads(value) for block in ranges.read_all(cluster, "predictions") for value in block.values]
        assert len(values) == len({value["id"] for value in values})
        return {value["id"]: value["score"] for value in values}

    def letters() -> list[str]:
        return [
            dict(headers)["driftline-reason"].decode()
            for block in ranges.read_all(cluster, "dead-letters")
            for headers in block.headers
        ]

    # No route: requests that name a model, and some that name none, wait.
    send(0, 10, model="first")
    send(10, 10)
    environ = {
        "DRIFTLINE_KAFKA__BOOTSTRAP": kafka,
        "DRIFTLINE_KAFKA__PREFIX": topic_prefix,
        "DRIFTLINE_REGISTRY": str(tmp_path / "models"),
        "DRIFTLINE_DATA_DIR": str(tmp_path / "data"),
    }
    port = roles.start("worker", environ)
    roles.wait(lambda: "score: no route yet: driftline model route NAME VERSION" in ask(port, "readyz"))
    roles.wait(lambda: json.loads(ask(port, "status"))["steps"][0]["partitions"])  # it is a member all the same
    assert ask(port, "startupz") == ask(port, "livez") == "ok\n"

    # A route to a version that is not there: they wait on, and the reason is said.
    made = route("first")
    roles.wait(lambda: "first v1 cannot be loaded: first v1 is not in" in ask(port, "readyz"))
    (worker,) = wait_until_served(cluster, made, wait_s=1)
    assert (worker.name, worker.state) == ("worker-0", "refuses") and "is not in" in worker.why
    assert answered() == {} and letters() == []

    # It is mended: nothing has been lost, nothing refused.
    registry.add(package(tmp_path / "first", "first"))
    roles.wait(lambda: len(answered()) == 20)
    assert answered() == {str(n): 2.0 * n for n in range(20)} and letters() == []
    assert [one.state for one in wait_until_served(cluster, made)] == ["serves"]
    assert ask(port, "readyz") == "ok\n"

    # A second model: what is sent right after its route was announced is answered; its neighbour goes on.
    registry.add(package(tmp_path / "second", "second"))
    route("second")
    send(20, 10, model="second")
    send(30, 10, model="first")
    roles.wait(lambda: len(answered()) == 40)
    assert letters() == []

    # One that cannot be loaded harms nobody, and what does not exist is refused by that name.
    route("lost")
    send(40, 3, model="lost")
    send(50, 3, model="frist")
    send(60, 3, model="first")
    roles.wait(lambda: len(answered()) == 43 and len(letters()) == 6)
    assert sorted(letters()) == ["model_not_loaded"] * 3 + ["unknown_model"] * 3


def ask(port: int, page: str) -> str:
    try:
        return PoolManager(timeout=2.0, retries=False).request("GET", f"http://127.0.0.1:{port}/{page}").data.decode()
    except HTTPError:
        return "{}"
