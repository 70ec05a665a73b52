"""What is overloaded: the whole system as a process tree, around a model that is as slow as a file says."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from drift.store import Store
from driftline.broker.ports import free_port
from driftline.commands.model_profile import load, profile
from driftline.roles import parts
from driftline.settings import Settings
from driftline.supervisor.system import System
from inference import Registry, init_package
from streams.clock import now_ms
from streams.kafka.cluster import Cluster
from streams.routes import announce
from streams.wire.records import Route

MODEL = "burdened"
PARTITIONS = 4

_CODE = """
import time
from pathlib import Path

import numpy as np


class Burdened:
    def load(self, device):
        self.pause = Path({pause!r})

    def predict(self, batch):
        time.sleep(float(self.pause.read_text()))
        return 1 / (1 + np.exp(-batch["x"]))
"""


class Subject:
    """The system, running: a context.

    Parameters
    ----------
    folder
        For everything it writes.
    """

    model = MODEL

    def __init__(self, folder: Path) -> None:
        self._pause = folder / "pause_s"
        self.pause(0)
        self.settings = Settings(
            data_dir=folder / "system",
            registry=str(folder / "models"),
            kafka={"port": free_port()},
            clickhouse={"port": free_port()},
            page={"port": free_port()},
            roles={"port": free_port()},
        )
        self.settings.data_dir.mkdir()
        self._package(folder / "package")
        self.system = System(self.settings, any_port=True)

    def _package(self, folder: Path) -> None:
        x = np.random.default_rng(7).normal(size=2_000)
        table = pa.table({"x": x, "city": np.where(x > 0, "Rome", "Oslo"), "y": (x > 0.3).astype(int)})
        folder.mkdir()
        (folder / "model.py").write_text(_CODE.format(pause=str(self._pause)))
        init_package(folder, table, name=MODEL, artefact="model.py:Burdened", label="y", task="binary")
        (folder / "reference.arrow").write_bytes(profile(load(folder), table, label="y").to_bytes())
        Registry(self.settings.registry).add(folder)

    def __enter__(self) -> "Subject":
        self.system.start_log()
        watch = parts.watch(self.settings)
        announce(self.cluster, lambda book: Route(model=self.model, epoch=0, ts=now_ms(), champion="v1", watch=watch))
        self.system.start_roles()
        self.system.wait_ready()
        self.system.wait_serving(self.model)
        return self

    def __exit__(self, *_: object) -> None:
        self.system.stop()

    @property
    def cluster(self) -> Cluster:
        """The log."""
        return parts.cluster(self.system.resolved())

    def pause(self, seconds: float) -> None:
        """From now on every batch of the model takes so much longer."""
        written = self._pause.with_suffix(".new")
        written.write_text(str(seconds))
        written.rename(self._pause)

    def stop_store(self) -> None:
        """The store is away until `start_store`."""
        self.system.tree.children["store"].stop()

    def start_store(self) -> None:
        """It comes back."""
        self.system.tree.children["store"].start()

    def look(self) -> None:
        """Start again what has ended by itself."""
        for child in self.system.tree.children.values():
            if child.state != "down":
                child.look()

    def restarts(self) -> int:
        """How often something ended by itself."""
        return sum(child.restarts for child in self.system.tree.children.values())

    def tails(self) -> str:
        """The end of every role's log."""
        return "\n".join(f"--- {name}\n{child.tail()}" for name, child in self.system.tree.children.items())

    def stored(self) -> tuple[int, int]:
        """Rows of the store, and how many different ids they have."""
        store = Store.connect(parts.store_settings(self.system.resolved()))
        try:
            rows, ids = store.rows("SELECT count(), uniqExact(id) FROM predictions")[0]
        finally:
            store.close()
        return int(rows), int(ids)
