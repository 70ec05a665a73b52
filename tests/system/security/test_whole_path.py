"""A request in, a prediction out, a label, a report, a row in the store: over TLS, each role and command a user of its
own with the least ACLs of the table, and no more. The broker's own record of its decisions says that nothing else was
tried, and that what the table asks for is used."""

import json
import time
from pathlib import Path
from typing import Any

import confluent_kafka as ck
import msgspec
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from drift import Reference
from driftline.broker.ports import free_port
from driftline.cli import app
from driftline.roles import access
from inference import Registry, draft_package, write_package
from streams.kafka import group_offsets as progress
from streams.kafka import ranges
from streams.kafka.cluster import Cluster
from streams.kafka.members import members

pytestmark = pytest.mark.timeout(480)

MINUTE = 60_000
ROWS, PER_MINUTE = 1_200, 100
MODEL = """
class Threshold:
    def load(self, device):
        pass

    def predict(self, batch):
        return batch["x"] * 0.5 + 0.25
"""
#: Kafka's names of kinds.
KINDS = {"topic": "Topic", "group": "Group", "transactional-id": "TransactionalId"}
#: Rights that a day without refusals, alerts, notifications, orders to retrain and restarts makes no use of.
RARE = {
    "worker": {("read", "topic", "snapshots"), ("write", "topic", "dead-letters")},
    "monitor": {
        ("read", "topic", "alerts"),
        ("write", "topic", "alerts"),
        ("read", "group", "notify"),
        ("write", "transactional-id", "notify-"),
        ("write", "topic", "retraining"),
        ("write", "topic", "dead-letters"),
        ("read", "topic", "requests"),
        ("read", "topic", "outcomes"),
    },
    "store": {("write", "topic", "dead-letters"), ("read", "topic", "snapshots")},
}


class Deployment:
    """Users by role or command, and what they are told."""

    def __init__(self, kafka: Any, environ: Any, folder: Path, prefix: str) -> None:
        self.kafka, self.prefix, self.folder = kafka, prefix, folder
        self.log = kafka.ruler(prefix)
        self._environ = environ
        self.users: dict[str, str] = {}
        self._ports = {"CLICKHOUSE__PORT": str(free_port())}

    def add(self, name: str, cluster: Cluster, user: str, needs: Any) -> dict[str, str]:
        """Settings of a new user who may do what is needed and nothing else."""
        self.users[name] = user
        self.kafka.allow(user, needs, self.prefix)
        told = {
            "KAFKA__GROUP_PROTOCOL": "consumer",
            "REGISTRY": str(self.folder / "models"),
            "DATA_DIR": str(self.folder / "data"),
            "MONITOR__IDLE_AFTER_MS": "3000",
            "KAFKA__PARTITIONS_REQUESTS": "2",
            "MONITOR__SNAPSHOT_INTERVAL_MS_MAX": "1000",
            "WATCH__FALSE_ALARM_EVERY": "100",
            "WATCH__LATENESS_MS_MAX": "1min",
            **self._ports,
        }
        return dict(self._environ(msgspec.structs.replace(cluster, prefix=self.prefix), **told))

    def unused(self, role: str, decisions: set[tuple[str, str, str, str]]) -> set[tuple[str, str, str]]:
        """What the table allows a role and the broker was never asked for: (operation, kind, name)."""
        used = {(operation, kind, name) for said, operation, kind, name in decisions if said == "Allowed"}
        return {
            (one, need.kind, need.name)
            for need in access.ROLES[role]
            for one in need.operations
            if not any(
                (operation, kind) == (one.upper(), KINDS[need.kind])
                and (name.startswith(need.resource(self.log)) if need.prefixed else name == need.resource(self.log))
                for operation, kind, name in used
            )
        }

    def command(self, name: str, *arguments: str, also: tuple[str, ...] = ()) -> str:
        """Run a command as a user of its own by SCRAM; returns what it prints."""
        user = f"{self.prefix}{name}".replace(" ", "-").replace(".", "-")
        self.kafka.add_user(user)
        needs = [need for one in (name, *also) for need in access.COMMANDS[one]]
        told = self.add(name, self.kafka.scram(user, "SCRAM-SHA-512"), user, needs)
        done = CliRunner().invoke(app, [*arguments], env=told, catch_exceptions=False)
        assert done.exit_code == 0, (arguments, done.output)
        return done.stdout


@pytest.fixture
def deployment(secure_kafka, roles, tmp_path, topic_prefix, monkeypatch, environ):
    monkeypatch.chdir(tmp_path)
    return Deployment(secure_kafka, environ, tmp_path, topic_prefix)


def register(folder: Path) -> None:
    x = np.random.default_rng(3).beta(2, 3, 3_000).astype(np.float32)
    p = x * np.float32(0.5) + np.float32(0.25)
    hat = np.where(p >= 0.5, "1", "0")
    y = np.where(np.random.default_rng(4).random(3_000) < p, "1", "0")
    scored = pd.DataFrame({"x": x, "p": p, "hat": hat, "y": y})
    package = draft_package(scored[["x"]], name="beta", artefact="model.py:Threshold", task="binary").package
    write_package(package, folder / "package")
    (folder / "package" / "model.py").write_text(MODEL)
    known = {"task": "binary", "score": "p", "prediction": "hat", "label": "y", "features": package.schema}
    (folder / "package" / "reference.arrow").write_bytes(Reference.fit(scored, **known).to_bytes())
    Registry(folder / "models").add(folder / "package")


def rows(path: Path) -> None:
    first = (int(time.time() * 1000) // MINUTE - ROWS // PER_MINUTE) * MINUTE
    n = np.arange(ROWS)
    x = np.random.default_rng(5).beta(2, 3, ROWS).round(4)
    y = np.where(np.random.default_rng(6).random(ROWS) < x * 0.5 + 0.25, "1", "0")
    table = {"who": [f"r{i}" for i in n], "at": first + n * MINUTE // PER_MINUTE, "x": x, "y": y}
    pd.DataFrame(table).to_csv(path, index=False)


def test_the_whole_path_with_the_least_of_rights(deployment, secure_kafka, roles, tmp_path):
    register(tmp_path)
    rows(tmp_path / "rows.csv")
    deployment.command("topics create", "topics", "create")
    deployment.command("topics check", "topics", "check")
    start(deployment, secure_kafka, roles)
    log = deployment.log
    for group in ("score", "count", "join", "judge", "sink"):
        roles.wait(lambda group=group: joined(log, group))
    deployment.command("model", "model", "route", "beta", "v1")
    sent = json.loads(
        deployment.command(
            "produce", "produce", str(tmp_path / "rows.csv"), "--model", "beta", "--id", "who", "--time", "at",
            "--labels", "y", "--no-wait", "--json", also=("produce --feedback",),
        )
    )  # fmt: skip
    assert (sent["requests"], sent["labels"], sent["failed"]) == (ROWS, ROWS, 0)
    # Windows close once both partitions have gone on, or have been idle for three seconds.
    roles.wait(lambda: sum(map(len, ranges.read_all(log, "reports"))) > 0)
    for group, topic in (
        ("score", "requests"),
        ("join", "feedback"),
        ("count", "observations"),
        ("judge", "counts"),
        ("sink", "reports"),
        ("sink", "outcomes"),
    ):
        roles.wait(lambda group=group, topic=topic: not list(progress.unread(log, group, topic)))
    held = {topic: sum(map(len, ranges.read_all(log, topic))) for topic in ("predictions", "outcomes", "reports")}
    assert held["predictions"] == held["outcomes"] == ROWS
    assert held["reports"] > 0
    assert deployment.command("dead-letters list", "dead-letters", "list") == "no dead letters\n"
    deployment.command("dead-letters redrive", "dead-letters", "redrive", "--dry-run")
    assert "v1" in deployment.command("model list", "model", "list")
    replayed = json.loads(deployment.command("replay", "replay", "--json", "--fail-on-difference"))
    assert replayed["predictions"]["equal"] == ROWS
    said = {name: secure_kafka.decisions(user) for name, user in deployment.users.items()}
    unused = {name: deployment.unused(name, said[name]) for name in access.ROLES}
    assert {name: rights - RARE[name] for name, rights in unused.items() if rights - RARE[name]} == {}
    assert {name: denied for name, one in said.items() if (denied := [d for d in one if d[0] == "Denied"])} == {}


def joined(log: Cluster, group: str) -> bool:
    try:
        return bool(members(log, group))
    except ck.KafkaException:  # its coordinator has just begun
        return False


def start(deployment: Deployment, kafka: Any, roles: Any) -> None:
    """Three roles that come in by three ways: with a password, a token and a certificate."""
    base = deployment.prefix.replace(".", "-")
    kafka.add_user(f"{base}monitor")
    certificate = kafka.authority.sign(f"{base}store")
    ways = {
        "worker": kafka.oauth(f"{base}worker"),
        "monitor": kafka.scram(f"{base}monitor"),
        "store": kafka.mtls(certificate),
    }
    ports = {
        role: roles.start(role, deployment.add(role, cluster, f"{base}{role}", access.ROLES[role]))
        for role, cluster in ways.items()
    }
    assert len(ports) == 3
