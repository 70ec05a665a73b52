"""A stranger's model, by the commands alone: three tasks, three kinds of model, and routes on a real broker."""

import http.server
import json
import textwrap
import threading
import time

import confluent_kafka as ck
import numpy as np
import pytest
import torch
from sklearn import datasets
from sklearn.linear_model import LinearRegression
from typer.testing import CliRunner

from drift.reference.catalogue import Unusable, Unwatched
from drift.reference.reference import Reference
from driftline.cli import app
from driftline.roles import parts
from driftline.settings import load
from inference import read_package
from streams.kafka.admin import Layout, create
from streams.kafka.cluster import Cluster
from streams.kafka.members import client_id, members
from streams.routes import read_book

pytestmark = pytest.mark.system  # minutes: `make test-all`


def run(*words, code=0):
    """Run a command; returns stdout, or the refusal's text where one is expected."""
    found = CliRunner().invoke(app, [str(word) for word in words])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        assert code == 1, found.exception
        return str(found.exception)  # `driftline.cli.main` makes one line and exit code 1 of it.
    assert found.exit_code == code, found.output
    return found.stdout if code == 0 else found.output


def table(name, folder, suffix="parquet"):
    """One of scikit-learn's own tables, shuffled: they are sorted by their label."""
    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame.sample(frac=1, random_state=0, ignore_index=True)
    frame.columns = [column.replace(" (cm)", "").replace(" ", "_") for column in frame.columns]
    file = folder / f"{name}.{suffix}"
    frame.to_parquet(file) if suffix == "parquet" else frame.to_csv(file, index=False)
    return frame, file


LINEAR = """
    import json
    from pathlib import Path

    import numpy as np

    class Linear:
        def load(self, device):
            known = json.loads((Path(__file__).parent / "weights.json").read_text())
            self.weights, self.bias = np.array(known["weights"], np.float32), known["bias"]

        def predict(self, batch):
            return np.nan_to_num(batch.matrix) @ self.weights + self.bias
"""


def linear(folder, frame):
    """A regression as a Python class beside its weights."""
    fitted = LinearRegression().fit(frame.drop(columns="target"), frame.target)
    (folder / "model.py").write_text(textwrap.dedent(LINEAR))
    (folder / "weights.json").write_text(json.dumps({"weights": fitted.coef_.tolist(), "bias": fitted.intercept_}))
    return fitted


def export(folder, net, rows, features, dynamic=False):
    shapes = ({0: torch.export.Dim("rows", min=2)},) if dynamic else None
    program = torch.export.export(net.eval(), (torch.zeros(rows, features),), dynamic_shapes=shapes)
    torch.export.save(program, folder / "model.pt2")
    return folder / "model.pt2"


def softmax(features, classes, seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(features, classes), torch.nn.Softmax(1))


def test_a_python_class_with_its_weights_is_profiled_by_its_own_scores(tmp_path):
    frame, file = table("diabetes", tmp_path)
    fitted = linear(tmp_path, frame)
    out = tmp_path / "p"
    words = ("--data", file, "--model", f"{tmp_path}/model.py:Linear", "--with", tmp_path / "weights.json")
    said = json.loads(run("model", "init", "sugar", *words, "--label", "target", "--out", out, "--json"))
    assert read_package(out).task == "regression"
    reference = Reference.from_bytes((out / "reference.arrow").read_bytes())
    assert said["reference"] == reference.id and reference.rows == len(frame)
    truth = np.abs(fitted.predict(frame.drop(columns="target")) - frame.target).mean()
    assert said["performance"]["mae"] == pytest.approx(truth, rel=1e-3)


@pytest.mark.parametrize("dynamic", [False, True])
def test_an_archive_says_its_own_batch(tmp_path, dynamic):
    _, file = table("iris", tmp_path, "csv")
    archive = export(tmp_path, softmax(4, 3), 32, 4, dynamic)
    out = tmp_path / "p"
    said = run("model", "init", "iris", "--data", file, "--model", archive, "--label", "target", "--out", out)
    package = read_package(out)
    assert (package.task, package.outputs.classes) == ("multiclass", ("0", "1", "2"))
    assert package.limits.batch_rows == (512 if dynamic else 32)
    assert "3 different integers, taken as classes" in said
    assert f"next:    driftline model add {out}" in said


def test_a_table_alone_gets_a_model(tmp_path):
    frame, file = table("breast_cancer", tmp_path)
    out = tmp_path / "p"
    words = ("--data", file, "--train", "--label", "target", "--positive", "0", "--out", out, "--json")
    said = json.loads(run("model", "init", "tumour", *words))
    assert said["trained"].startswith("auc ") and float(said["trained"].split()[1]) > 0.9
    assert said["checks"] == []
    assert read_package(out).outputs.positive == "0"
    # The score is the probability of class 0: its share of the rows that the network has not seen, on average.
    reference = Reference.from_bytes((out / "reference.arrow").read_bytes())
    unseen = frame.tail(reference.held_out_rows)
    counts = reference.of("prediction")[:2] / len(unseen)
    assert counts[reference.prediction.levels.index("0")] == pytest.approx((unseen.target == 0).mean(), abs=0.05)


def test_scores_in_the_table_are_held_against_the_model(tmp_path):
    frame, file = table("diabetes", tmp_path)
    fitted = linear(tmp_path, frame)
    frame["p"] = fitted.predict(frame.drop(columns="target")).astype(np.float32)
    frame.to_parquet(file)
    words = ("--data", file, "--model", f"{tmp_path}/model.py:Linear", "--with", tmp_path / "weights.json")
    words = (*words, "--label", "target", "--score", "p", "--order", "file", "--data-is-held-out")
    words = (*words, "--json", "--force", "--out", tmp_path / "p")
    assert json.loads(run("model", "init", "sugar", *words))["notes"] == []
    turned = ",".join(reversed(frame.columns[:10]))
    (note,) = json.loads(run("model", "init", "sugar", *words, "--features", turned))["notes"]
    assert "the model does not say what column 'p' says" in note and "--features" in note


def test_refusals_say_what_to_do_and_leave_nothing(tmp_path):
    _, file = table("iris", tmp_path)
    out = tmp_path / "p"
    init = ("model", "init", "iris", "--data", file, "--out", out)
    (tmp_path / "model.pkl").write_bytes(b"")
    (tmp_path / "model.py").write_text("class Other: pass")
    bad = export(tmp_path, softmax(4, 3), 10, 4)
    for words, said, code in (
        ((), "or --train a network", 2),
        (("--train",), "--train needs --label, one of: sepal_length", 1),
        (("--train", "--label", "targit"), "did you mean target?", 1),
        (("--model", tmp_path / "model.pkl"), "a pickle can run anything", 1),
        (("--model", tmp_path / "modle.py:Flower"), f"did you mean {tmp_path}/model.py?", 1),
        (("--model", f"{tmp_path}/model.py:Flower"), "it has no class 'Flower'", 1),
        (("--model", bad, "--label", "target"), "export it with an example of 512 rows", 1),
    ):
        assert said in " ".join(run(*init, *words, code=code).split())
        assert not out.exists()
    run(*init, "--train", "--label", "target")
    assert "--force writes over it" in run(*init, "--train", "--label", "target", code=1)


def test_the_order_of_the_rows_is_asked_for_and_said(tmp_path):
    frame, file = table("diabetes", tmp_path)
    linear(tmp_path, frame)
    minutes = np.random.default_rng(0).permutation(len(frame))
    stamps = np.datetime64("2026-03-01T00:00", "ms") + minutes.astype("timedelta64[m]")
    words = ("model", "init", "sugar", "--data", file, "--model", f"{tmp_path}/model.py:Linear", "--label", "target")
    words = (*words, "--with", tmp_path / "weights.json", "--json", "--force", "--out", tmp_path / "p")

    def notes(*more):
        return " ".join(json.loads(run(*words, *more))["notes"])

    frame.to_parquet(file)
    assert "no column of times is named" in notes()
    assert "no column of times is named" not in notes("--order", "file")
    assert "is learnt from the first 30 windows" in notes("--order", "unknown")
    frame.assign(at=stamps).to_parquet(file)
    assert "'at' does not ascend: the rows look mixed" in notes()
    assert "rows are taken in the order of 'at'" in notes("--time", "at")
    reference = Reference.from_bytes((tmp_path / "p" / "reference.arrow").read_bytes())
    assert reference.order == "time" and "at" not in reference.sources
    frame.assign(at=minutes + 1_700_000_000_000).to_parquet(file)  # milliseconds: a number, and yet no feature
    notes("--time", "at")
    assert "at" not in read_package(tmp_path / "p").schema.names
    assert "lacks the column 'when'" in run(*words, "--time", "when", code=1)


def test_a_sorted_table_is_named(tmp_path):
    frame, file = table("iris", tmp_path)
    frame.sort_values("target").iloc[:120].to_parquet(file)  # with an index, as pandas does it
    words = ("model", "init", "iris", "--data", file, "--train", "--label", "target", "--out", tmp_path / "p")
    assert "--shuffle" in run(*words, code=1)
    said = run(*words, "--shuffle")
    assert "trained: accuracy" in said and "'__index_level_0__' is left out: an index that pandas wrote" in said


@pytest.fixture
def deployment(tmp_path, kafka, topic_prefix, monkeypatch):
    """Settings of a deployment of its own, through the environment."""
    monkeypatch.chdir(tmp_path)
    for key, value in {
        "KAFKA__BOOTSTRAP": kafka,
        "KAFKA__PREFIX": topic_prefix,
        "REGISTRY": tmp_path / "models",
    }.items():
        monkeypatch.setenv(f"DRIFTLINE_{key}", str(value))
    return Cluster(bootstrap=kafka, prefix=topic_prefix)


def package(folder, version, task="regression"):
    """A package without a reference, by hand: routes ask for no more."""
    made = folder / version
    made.mkdir()
    classes = "" if task == "regression" else '\n[outputs]\nclasses = ["a", "b", "c"]'
    (made / "model.py").write_text("class M:\n def load(self, d): ...\n def predict(self, b): ...\n")
    (made / "model.toml").write_text(
        f'name = "fare"\nversion = "{version}"\ntask = "{task}"\nartefact = "model.py:M"{classes}\n'
        '[[inputs]]\nname = "km"\n'
    )
    return made


def test_routes_on_a_broker(deployment, tmp_path):
    assert "next:    driftline model route fare v1\n" in run("model", "add", package(tmp_path, "v1"))
    assert "driftline model route fare v2 --canary 5%" in run("model", "add", package(tmp_path, "v2"))
    run("model", "add", package(tmp_path, "v3"))
    run("model", "add", package(tmp_path, "c1", "multiclass"))
    assert "run `driftline topics create`" in run("model", "route", "fare", "v1", code=1)
    create(deployment, Layout())

    assert run("model", "route", "fare", "v1") == "fare: champion v1 (epoch 1)\n"
    assert run("model", "route", "fare", "v2", "--canary", "5%", "--shadow", "v3").startswith(
        "fare: champion v1, canary v2 5 %, shadow v3 (epoch 2)"
    )
    rows = {row["version"]: row for row in json.loads(run("model", "list", "--json"))}
    assert {v: row["serves"] for v, row in rows.items()} == {
        "v1": "champion",
        "v2": "canary 5 %",
        "v3": "shadow",
        "c1": "",
    }
    assert {row["reference"] for row in rows.values()} == {False}

    assert run("model", "promote", "fare", "v2") == "fare: champion v2, shadow v3 (epoch 3)\n"
    assert run("model", "rollback", "fare").startswith("fare: champion v1, shadow v3 (epoch 4): rolled back from v2")
    assert "canary v2 25 %" in run("model", "route", "fare", "v1", "--canary", "v2=25%")
    book = read_book(deployment)
    assert [route.champion for route in book.history] == ["v1", "v1", "v2", "v1", "v1"]


def test_rollback_goes_back_step_by_step_and_never_forth(deployment, tmp_path):
    create(deployment, Layout())
    for version in ("v1", "v2", "v3", "v4"):
        run("model", "add", package(tmp_path, version))
    for version in ("v1", "v2", "v3"):
        run("model", "promote", "fare", version, "--no-wait")
    assert "champion v2 (epoch 4): rolled back from v3" in run("model", "rollback", "fare", "--no-wait")
    assert "champion v1 (epoch 5): rolled back from v2" in run("model", "rollback", "fare", "--no-wait")
    said = run("model", "rollback", "fare", "--no-wait", code=1)
    assert "v1 is the first champion that fare had: there is nothing to go back to" in said
    # A new champion begins a new way back: to v1, and not to those that were rolled back from.
    run("model", "promote", "fare", "v4", "--no-wait")
    run("model", "route", "fare", "v4", "--shadow", "v2", "--no-wait")
    assert "champion v1" in run("model", "rollback", "fare", "--no-wait")
    assert "nothing to go back to" in run("model", "rollback", "fare", "--no-wait", code=1)


def test_records_that_are_no_routes_stop_no_command(deployment, tmp_path):
    create(deployment, Layout())
    for version in ("v1", "v2"):
        run("model", "add", package(tmp_path, version))
    run("model", "route", "fare", "v1")
    producer = ck.Producer({"bootstrap.servers": deployment.bootstrap})
    for record in (b'{"hello":"world"}', b"", None, b"garbage", b'{"model":"fare","epoch":9,"ts":0,"champion":""}'):
        producer.produce(deployment.topic("models"), record, key=b"fare")
    assert producer.flush(30) == 0
    commands = {
        "list": lambda rows: [row["serves"] for row in rows] == ["champion", ""],
        "route fare v1 --canary v2=5%": lambda made: made["canary"] == {"v2": 0.05},
        "promote fare v2": lambda made: made["champion"] == "v2",
        "rollback fare": lambda made: (made["champion"], made["epoch"]) == ("v1", 4),
        "remove fare v2": lambda gone: gone["version"] == "v2",
    }
    for command, right in commands.items():
        found = CliRunner().invoke(app, ["model", *command.split(), "--json"])
        assert found.exit_code == 0, (command, found.output)
        assert right(json.loads(found.stdout)), (command, found.stdout)
        assert "passed_over" in found.stderr and "records=5" in found.stderr, (command, found.stderr)


def test_what_was_removed_is_not_gone_back_to(deployment, tmp_path):
    create(deployment, Layout())
    for version in ("v1", "v2"):
        run("model", "add", package(tmp_path, version))
        run("model", "promote", "fare", version, "--no-wait")
    run("model", "remove", "fare", "v1")
    said = run("model", "rollback", "fare", "--no-wait", code=1)
    assert "fare v1 was removed from" in said and "`driftline model promote fare VERSION` names another" in said
    assert read_book(deployment)["fare"].champion == "v2"


def test_a_version_that_no_route_names_can_be_removed(deployment, tmp_path):
    for version in ("v1", "v2", "v3", "v4"):
        run("model", "add", package(tmp_path, version))
    create(deployment, Layout())
    run("model", "route", "fare", "v1")
    run("model", "route", "fare", "v1", "--canary", "v2=5%", "--shadow", "v3")
    assert "`driftline model promote fare VERSION`" in run("model", "remove", "fare", "v1", code=1)
    for version, does in (("v2", "canary 5 %"), ("v3", "shadow")):
        said = run("model", "remove", "fare", version, code=1)
        assert f"fare {version} serves as {does}" in said and "`driftline model route fare v1`" in said
    assert "fare v4 is removed" in run("model", "remove", "fare", "v4")
    assert "did you mean" in run("model", "remove", "fare", "v5", code=1)
    assert "fare v4 was removed" in run("model", "remove", "fare", "v4", code=1)
    assert "fare v4 was removed" in run("model", "route", "fare", "v4", code=1)
    assert {row["version"] for row in json.loads(run("model", "list", "--json"))} == {"v1", "v2", "v3"}
    with pytest.raises(Unwatched, match="fare v4 was removed"):  # who has counted over it goes on without it
        parts.catalogue(load())("fare", "v4")
    with pytest.raises(Unusable, match="did you mean"):  # what was never there may be put back
        parts.catalogue(load())("fare", "v5")
    # The same contents may come back; others take another version.
    (tmp_path / "v4" / "model.py").write_text("class M:\n def load(self, d): ...\n def predict(self, b): return 1\n")
    assert "give this one a new version" in run("model", "add", tmp_path / "v4", code=1)
    (tmp_path / "v4" / "model.py").write_text((tmp_path / "v3" / "model.py").read_text())
    run("model", "add", tmp_path / "v4")
    run("model", "route", "fare", "v4")


def test_without_a_broker_nothing_is_removed(deployment, tmp_path, monkeypatch):
    run("model", "add", package(tmp_path, "v1"))
    monkeypatch.setenv("DRIFTLINE_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    assert "no Kafka at 127.0.0.1:1" in run("model", "remove", "fare", "v1", code=1)
    assert "v1" in run("model", "list")


def test_a_second_model_says_what_becomes_of_requests_that_name_none(deployment, tmp_path):
    create(deployment, Layout())
    run("model", "add", package(tmp_path, "v1"))
    other = package(tmp_path, "v2")
    (other / "model.toml").write_text((other / "model.toml").read_text().replace('"fare"', '"tip"'))
    run("model", "add", other)

    def route(*words):
        found = CliRunner().invoke(app, ["model", "route", *words, "--no-wait"])
        assert found.exit_code == 0, found.output
        return found.stderr

    assert route("fare", "v1") == ""
    refused = CliRunner().invoke(app, ["model", "route", "tipp", "v2", "--no-wait"])
    assert "did you mean tip" in str(refused.exception) and "fare" not in refused.output
    assert "produce --model fare" in route("tip", "v2")
    assert route("tip", "v2") == route("fare", "v1") == ""


def test_route_waits_for_every_worker(deployment, tmp_path):
    create(deployment, Layout())
    run("model", "add", package(tmp_path, "v1"))
    with Workers(deployment, "worker-0", "worker-1") as workers:
        route = {"model": "fare", "epoch": 1}
        workers.serving["worker-0"] = {"fare": {"version": "v1", "epoch": 1}}
        slow = threading.Timer(1.0, workers.serving.update, [{"worker-1": {"fare": {"version": "v1", "epoch": 1}}}])
        slow.start()
        began = time.monotonic()
        assert "worker-0, worker-1 serve it" in run("model", "route", "fare", "v1")
        assert time.monotonic() - began > 0.9
        said = json.loads(run("model", "route", "fare", "v1", "--no-wait", "--json"))
        assert said["epoch"] == 2 and "workers" not in said
        workers.serving["worker-1"]["fare"] |= {"refused": "no module named 'xgboost'", "refused_epoch": 3}
        said = run("model", "route", "fare", "v1", code=1)
        assert "worker-1 cannot load fare v1: no module named 'xgboost'" in said
        assert route["epoch"] < read_book(deployment)["fare"].epoch


def test_a_worker_that_cannot_be_asked_is_named_and_not_waited_for(deployment, tmp_path, monkeypatch):
    monkeypatch.setattr("driftline.commands.model_workers.SILENT_S", 0.5)
    create(deployment, Layout())
    run("model", "add", package(tmp_path, "v1"))
    with Workers(deployment, "worker-0") as workers:
        workers.close_pages()
        found = CliRunner().invoke(app, ["model", "route", "fare", "v1"])
    assert found.exit_code == 0
    assert "worker-0 does not answer at http://127.0.0.1:" in found.stderr and "set roles.host" in found.stderr


class Workers:
    """Members of the group of workers, each with a status page; no more than `model route` can see of them."""

    def __init__(self, cluster, *names):
        self.serving = {name: {} for name in names}
        self._cluster = cluster
        self._servers = {name: self._server(name) for name in names}

    def _server(self, name):
        outer = self

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"serving": outer.serving[name]}).encode())

            def log_message(self, *_): ...

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def close_pages(self):
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    def __enter__(self):
        self._consumers = []
        for name, server in self._servers.items():
            role, slot = name.split("-")
            own = {"client.id": client_id(role, slot, server.server_port)}
            self._consumers.append(self._cluster.consumer("score", **own))
            self._consumers[-1].subscribe([self._cluster.topic("requests")])
        self._ended = threading.Event()
        self._polling = threading.Thread(target=self._poll)
        self._polling.start()
        deadline = time.monotonic() + 30
        while {one.name for one in members(self._cluster, "score")} != set(self._servers):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return self

    def _poll(self):
        while not self._ended.is_set():
            for consumer in self._consumers:
                consumer.poll(0.05)

    def __exit__(self, *_):
        self._ended.set()
        self._polling.join()
        for consumer in self._consumers:
            consumer.close()
        self.close_pages()


def test_refused_routes(deployment, tmp_path):
    create(deployment, Layout())
    for version, task in (("v1", "regression"), ("v10", "regression"), ("c1", "multiclass")):
        run("model", "add", package(tmp_path, version, task))
    assert "did you mean v10?" in run("model", "route", "fare", "v100", code=1)
    assert "did you mean fare?" in run("model", "route", "faer", "v1", code=1)
    assert "serves no version yet" in run("model", "route", "fare", "v1", "--canary", "5%", code=1)
    assert "serves no version yet" in run("model", "rollback", "fare", code=1)
    run("model", "promote", "fare", "v1")
    assert "another task is another model" in run("model", "route", "fare", "c1", code=1)
    assert "write 5%" in run("model", "route", "fare", "v10", "--canary", "5", code=1)
    assert "v1 is the first champion" in run("model", "rollback", "fare", code=1)
    assert read_book(deployment)["fare"].epoch == 1


def test_the_settings_seed_how_a_model_is_watched(deployment, tmp_path, monkeypatch):
    create(deployment, Layout())
    run("model", "add", package(tmp_path, "v1"))
    monkeypatch.setenv("DRIFTLINE_WATCH", '{"false_alarm_every": 1000}')
    run("model", "route", "fare", "v1")
    monkeypatch.setenv("DRIFTLINE_WATCH", '{"false_alarm_every": 2000}')
    run("model", "route", "fare", "v1")
    assert read_book(deployment)["fare"].watch.false_alarm_every == 1000
    run("model", "route", "fare", "--renew-watch")
    assert read_book(deployment)["fare"].watch.false_alarm_every == 2000


def test_without_a_broker_the_registry_is_still_listed(deployment, tmp_path, monkeypatch):
    run("model", "add", package(tmp_path, "v1"))
    monkeypatch.setenv("DRIFTLINE_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    assert "v1" in run("model", "list")
    assert "no Kafka at 127.0.0.1:1" in run("model", "route", "fare", "v1", code=1)


def test_a_refused_model_file_is_named_as_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.csv").write_text("x,y\n" + "".join(f"{n},{n % 2}\n" for n in range(50)))
    (tmp_path / "models-of-mine").mkdir()
    (tmp_path / "models-of-mine" / "broken.onnx").write_bytes(b"no such thing")
    call = ["model", "init", "m", "--data", "train.csv", "--label", "y", "--model", "models-of-mine/broken.onnx"]
    done = CliRunner().invoke(app, call)
    said = f"{done.output} {done.exception}"
    assert done.exit_code == 1 and "models-of-mine/broken.onnx: " in said and ".init-" not in said
