"""The registry away, at the start and in the middle: requests wait, nobody is refused for it, all are answered once."""

import json
from typing import Any

import pytest
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

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
version = "{version}"
task = "regression"
artefact = "model.py:Times"
[[inputs]]
name = "x"
"""
CODE = """
class Times:
    def load(self, device): ...
    def predict(self, batch):
        return batch["x"] * {factor}
"""


@pytest.mark.parametrize("gone", ["not there", "an empty mount point"])
def test_a_registry_that_is_away_is_waited_for(kafka, topic_prefix, tmp_path, roles, gone):
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout(requests=2))
    models, elsewhere = tmp_path / "models", tmp_path / "elsewhere"
    for name, version, factor in (("m", "v1", 2), ("m", "v2", 3), ("n", "v1", 5)):
        folder = tmp_path / f"{name}-{version}"
        folder.mkdir()
        (folder / "model.toml").write_text(TOML.format(name=name, version=version))
        (folder / "model.py").write_text(CODE.format(factor=factor))
        Registry(models).add(folder)

    def leave() -> None:
        models.rename(elsewhere)
        if gone != "not there":
            models.mkdir()

    def come_back() -> None:
        if gone != "not there":
            models.rmdir()
        elsewhere.rename(models)

    expected: dict[str, set[float]] = {}

    def send(first: int, model: str, *factors: int) -> None:
        sender = Sender(cluster)
        for n in range(first, first + 10):
            sender.send("requests", json.dumps({"id": str(n), "model": model, "features": {"x": n}}).encode())
            expected[str(n)] = {float(n * factor) for factor in factors}
        sender.finish()
        assert sender.arrived == 10

    def route(name: str, version: str) -> None:
        announce(cluster, lambda book: Route(model=name, epoch=0, ts=0, champion=version))

    def answers() -> list[dict[str, Any]]:
        return [json.loads(value) for block in ranges.read_all(cluster, "predictions") for value in block.values]

    def refused() -> int:
        return sum(len(block) for block in ranges.read_all(cluster, "dead-letters"))

    leave()  # At the start.
    route("m", "v1")
    send(0, "m", 2)
    port = roles.start(
        "worker",
        {
            "DRIFTLINE_KAFKA__BOOTSTRAP": kafka,
            "DRIFTLINE_KAFKA__PREFIX": topic_prefix,
            "DRIFTLINE_REGISTRY": str(models),
            "DRIFTLINE_DATA_DIR": str(tmp_path / "data"),
        },
    )
    roles.wait(lambda: status(port, "readyz")[0] == 503 and "not mounted here" in status(port, "readyz")[1])
    roles.wait(lambda: json.loads(status(port, "status")[1])["steps"][0]["partitions"])
    assert status(port, "startupz")[0] == status(port, "livez")[0] == 200  # a restart would change nothing
    assert answers() == [] and refused() == 0
    come_back()
    roles.wait(lambda: len(answers()) == 10)
    roles.wait(lambda: status(port, "readyz") == (200, "ok\n"))

    leave()  # In the middle: a new version, and a new model.
    route("m", "v2")
    roles.wait(lambda: "m v1 goes on, epoch 2 is not followed: m v2 is not in" in status(port, "readyz")[1])
    assert status(port, "readyz")[0] == 200
    send(10, "m", 2, 3)
    roles.wait(lambda: len(answers()) == 20)
    route("n", "v1")
    send(20, "n", 5)
    roles.wait(lambda: status(port, "readyz")[0] == 503 and "n: n v1 is not in" in status(port, "readyz")[1])
    assert status(port, "startupz")[0] == 200 and len(answers()) == 20 and refused() == 0
    come_back()
    roles.wait(lambda: len(answers()) == 30)
    roles.wait(lambda: status(port, "readyz") == (200, "ok\n"))
    send(30, "m", 3)
    roles.wait(lambda: len(answers()) == 40)

    found = answers()
    assert len(found) == len({one["id"] for one in found}) == len(expected) and refused() == 0
    assert all(one["score"] in expected[one["id"]] for one in found)


def status(port: int, page: str) -> tuple[int, str]:
    try:
        answer = PoolManager(timeout=2.0, retries=False).request("GET", f"http://127.0.0.1:{port}/{page}")
        return answer.status, answer.data.decode()
    except HTTPError:
        return 0, "{}"
