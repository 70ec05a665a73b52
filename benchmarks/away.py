"""What Driftline needs and does not get: each dependency away for a while, at the start of the roles and in the middle.

    python -m benchmarks.away [--seconds 60] [--rate 50] [--only registry] [--json]

`driftline up` answers JSON and Avro requests while the model registry (its folder is moved), the store, the schema
registry or the broker (stopped by SIGSTOP: they hang, and answer nobody) is away. ``start``: the roles are killed
once it is away, and begin without it. Each row says who says so meanwhile (`/readyz` of the roles, `driftline doctor`,
the page's `/api/pipeline`), and after how many seconds of its return everything is answered and stored. In the end
plain clients count. Exit code 1 where a request was refused for it, lost or doubled, or where nobody said so.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import clickhouse_driver.errors
import confluent_kafka as ck
import fastavro
import psutil
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from benchmarks.storm.checks import read_log, wrong_in_log, wrong_in_store
from benchmarks.storm.clients import Producer, read_all
from benchmarks.storm.deployment import MODEL, Deployment, until
from benchmarks.storm.store_rows import read_store

DEPENDENCIES = ("registry", "schema registry", "store", "broker")
#: What each is called by those who say that it is away.
_NAMED = {
    "registry": ("not mounted", "not in ", "holds no model"),
    "schema registry": ("schema registry",),
    "store": ("store", "clickhouse", "ClickHouse"),
    "broker": ("Kafka", "kafka", "broker", "offsets", "timed out", "Timed out"),
}
_BACK_S_MAX = 300.0
_HTTP = PoolManager(timeout=3.0, retries=False)
_SCHEMA = {
    "type": "record",
    "name": "Request",
    "fields": [{"name": "id", "type": "string"}, {"name": "x", "type": "double"}, {"name": "city", "type": "string"}],
}
_TRANSIENT = (OSError, KeyError, EOFError, RuntimeError, ValueError, ck.KafkaException, clickhouse_driver.errors.Error)


class Row(NamedTuple):
    """One dependency away once; ``said`` are those who said so."""

    what: str
    when: str
    away_s: float
    said: tuple[str, ...]
    back_s: float
    wrong: dict[str, int]

    def line(self) -> str:
        """One row of the table."""
        wrong = ", ".join(f"{name} {n}" for name, n in self.wrong.items() if n) or "0 refused, 0 lost, 0 doubled"
        said = ", ".join(self.said) or "NOBODY"
        return f"{self.what:<16} {self.when:<7} {self.away_s:>4.0f} s  {said:<28} {self.back_s:>7.1f} s  {wrong}"


class Schemas:
    """A schema registry that can go away; every number means the same schema."""

    def __init__(self) -> None:
        self.number = 1
        answer = json.dumps({"schema": json.dumps(_SCHEMA)}).encode()
        here = self.here = threading.Event()
        here.set()

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not here.is_set():
                    self.send_error(503)
                    return
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"


class AvroProducer:
    """Ten Avro requests a second, acknowledged ones noted among those of the other producer."""

    def __init__(self, bootstrap: str, schemas: Schemas, requests: dict[str, bool]) -> None:
        self._schemas, self._requests = schemas, requests
        self._producer = ck.Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "delivery.timeout.ms": 600_000, "log_level": 0}
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait for the last acknowledgements."""
        self._stopping.set()
        self._thread.join()
        self._producer.flush(120)

    def _run(self) -> None:
        number = 0
        while not self._stopping.wait(0.1):
            id_ = f"avro-{number}"
            body = BytesIO()
            fastavro.schemaless_writer(body, _SCHEMA, {"id": id_, "x": number % 7 - 3.0, "city": "Rome"})
            value = b"\0" + self._schemas.number.to_bytes(4) + body.getvalue()
            self._producer.produce("requests", value, on_delivery=lambda error, _, id_=id_: self._sent(error, id_))
            self._producer.poll(0)
            number += 1

    def _sent(self, error: ck.KafkaError | None, id_: str) -> None:
        if error is None:
            self._requests[id_] = True


@contextmanager
def away(deployment: Deployment, what: str, schemas: Schemas) -> Iterator[None]:
    """Have a dependency be away."""
    models, elsewhere = deployment.folder / "models", deployment.folder / "models-elsewhere"
    stopped: list[psutil.Process] = []
    if what == "registry":
        models.rename(elsewhere)
    elif what == "schema registry":
        schemas.number += 1  # one that no worker has read yet
        schemas.here.clear()
    else:
        stopped = [deployment.roles()["kafka" if what == "broker" else "store"]]
        stopped[0].suspend()
    try:
        yield
    finally:
        schemas.here.set()
        if what == "registry":
            elsewhere.rename(models)
        for process in stopped:
            with suppress(psutil.NoSuchProcess, FileNotFoundError):
                process.resume()


def who_says(deployment: Deployment, what: str) -> set[str]:
    """Who says now that something is away."""
    run = deployment.status()
    texts = {"doctor": lambda: _doctor(deployment), "page": lambda: _get(f"{run['page']}/api/pipeline")}
    for name, url in run.get("urls", {}).items():
        texts[f"/readyz {name.partition('-')[0]}"] = lambda url=url: _get(url.replace("/status", "/readyz"))
    return {who for who, ask in texts.items() if any(word in ask() for word in _NAMED[what])}


def _get(url: str) -> str:
    try:
        return _HTTP.request("GET", url).data.decode("utf-8", "replace")
    except HTTPError:
        return ""


def _doctor(deployment: Deployment) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "driftline", "doctor", "--json"],
        cwd=deployment.folder, env=deployment.environ, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    with suppress(ValueError):
        return " ".join(f"{one['said']}" for one in json.loads(done.stdout) if one["state"] != "ok")
    return ""


def once(
    deployment: Deployment, what: str, when: str, seconds: float, schemas: Schemas, requests: dict[str, bool]
) -> Row:
    """Have a dependency be away once, and wait until everything that was acknowledged until its return is answered."""
    said: set[str] = set()
    with away(deployment, what, schemas):
        began = time.monotonic()
        if when == "start":
            for name, process in deployment.roles().items():
                if name.partition("-")[0] in ("worker", "monitor") or (name == "store" and what != "store"):
                    with suppress(psutil.NoSuchProcess, FileNotFoundError):
                        process.kill()
        while time.monotonic() - began < seconds:
            with suppress(*_TRANSIENT):
                said |= who_says(deployment, what)
            time.sleep(1)
        away_s = time.monotonic() - began
    back, wanted = time.monotonic(), dict(requests)
    wrong: dict[str, int] = {}

    def settled() -> bool:
        wrong.update(_wrong(deployment, wanted))
        return not any(wrong.values())

    _wait(deployment, settled)
    return Row(what, when, away_s, tuple(sorted(said)), time.monotonic() - back, wrong)


def _wait(deployment: Deployment, settled: Callable[[], bool]) -> None:
    """Wait until it holds, or for long; what is away meanwhile is asked again."""

    def holds() -> bool:
        with suppress(*_TRANSIENT):
            return settled()
        return False

    with suppress(TimeoutError):
        until(holds, _BACK_S_MAX, str, deployment.look)


def _wrong(deployment: Deployment, requests: dict[str, bool]) -> dict[str, int]:
    """What is wrong with these requests: refused for no fault of theirs, lost, doubled; in the store, too."""
    reasons = [
        dict(letter.headers() or ()).get("driftline-reason")
        for letter in read_all(deployment.bootstrap, "dead-letters")
    ]
    wrong = {"refused": sum(reason != b"wrong_type" for reason in reasons)}
    log = wrong_in_log(requests, {}, read_log(deployment.bootstrap)) if not wrong["refused"] else {}
    rows = read_store(deployment.status()["clickhouse"], deployment.store_folder).predictions
    good = [id_ for id_, is_good in requests.items() if is_good]
    wrong |= {"lost": log.get("lost", 0), "doubled": log.get("doubled", 0)}
    return wrong | {"rows lost": sum(not rows[id_] for id_ in good), "rows doubled": sum(n > 1 for n in rows.values())}


def run(seconds: float, rate: int, only: str | None, say: Callable[[Row], None]) -> list[Row]:
    """Have each dependency be away, at the start and in the middle, over one deployment."""
    rows = []
    schemas = Schemas()
    with TemporaryDirectory(prefix="driftline-away-") as folder:
        deployment = Deployment(Path(folder), {"DRIFTLINE_SCHEMA_REGISTRY__URL": schemas.url})
        deployment.make_model()
        deployment.start()
        try:
            deployment.wait_ready()
            deployment.command("model", "route", MODEL, "v1")
            producer = Producer(deployment.bootstrap, rate, 1)
            avro = AvroProducer(deployment.bootstrap, schemas, producer.requests)
            for what in DEPENDENCIES:
                for when in ("start", "middle") if only in (None, what) else ():
                    rows.append(once(deployment, what, when, seconds, schemas, producer.requests))
                    say(rows[-1])
            avro.stop()
            producer.stop()
            began, wrong = time.monotonic(), dict[str, int]()

            def settled() -> bool:
                wrong.update(_wrong(deployment, producer.requests))
                log = read_log(deployment.bootstrap)
                wrong.update(wrong_in_log(producer.requests, producer.labels, log))
                wrong.update(
                    wrong_in_store(log, read_store(deployment.status()["clickhouse"], deployment.store_folder))
                )
                return not any(wrong.values())

            _wait(deployment, settled)
            total = f"{len(producer.requests):,} requests"
            rows.append(Row(total, "all", 0, ("-",), time.monotonic() - began, wrong))
            say(rows[-1])
        finally:
            deployment.stop()
    return rows


def main() -> int:
    """Print a row for each dependency and moment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each is away")
    parser.add_argument("--rate", type=int, default=50, help="JSON requests a second")
    parser.add_argument("--only", choices=DEPENDENCIES)
    parser.add_argument("--json", action="store_true", help="one JSON line a row instead of the table")
    asked = parser.parse_args()
    if not asked.json:
        print(f"{'away':<16} {'when':<7} {'for':>6}  {'said by':<28} {'settled':>9}  wrong")
    rows = run(
        asked.seconds,
        asked.rate,
        asked.only,
        lambda row: print(json.dumps(row._asdict()) if asked.json else row.line(), flush=True),
    )
    return 1 if any(any(row.wrong.values()) or not row.said for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
