"""The compose file and the Dockerfile, read and checked: they cannot be run here, so nothing in them may dangle."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from driftline.settings import PREFIX, describe, load

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()


def environment(service: dict[str, Any]) -> dict[str, str]:
    """Variables of a service, with the defaults that the file gives."""
    return {
        name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)) for name, value in service.get("environment", {}).items()
    }


def test_the_roles_are_there() -> None:
    assert set(SERVICES) == {"kafka", "clickhouse", "worker", "monitor", "store", "page", "grafana"}
    assert {name: service["command"] for name, service in OURS.items()} == {name: [name] for name in OURS}
    assert set(OURS) == {"worker", "monitor", "store", "page"}


def test_every_port_is_on_loopback() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    host_ports = [port.split(":")[1] for port in ports]
    assert len(set(host_ports)) == len(host_ports)


def test_workers_can_be_more_than_one() -> None:
    """`--scale worker=2`: each container has a host name, and with it a slot, of its own, and no port of the host."""
    assert not SERVICES["worker"].keys() & {"container_name", "hostname", "ports", "network_mode"}
    assert "--slot" not in SERVICES["worker"]["command"]


@pytest.mark.parametrize("name", SERVICES)
def test_service(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    image = service["image"]
    assert ":" in image
    assert not image.endswith(":latest")
    assert service.get("user", "1") not in ("root", "0")
    for needed, how in service.get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert "healthcheck" in SERVICES[needed]
    for volume in service.get("volumes", []):
        source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")[0]
        if source.startswith("."):
            wanted = (ROOT / "docker" / source).resolve()
            assert wanted.exists() or source == "../models", f"{source} is mounted and not there"
        else:
            assert source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", OURS)
def test_our_services_run_locked_down(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    context = (ROOT / "docker" / service["build"]["context"]).resolve()
    assert context == ROOT
    assert (context / service["build"]["dockerfile"]).exists()
    assert re.search(r"^FROM \S+ AS cpu$", DOCKERFILE, re.MULTILINE)


@pytest.mark.parametrize("name", OURS)
def test_settings_are_settings(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Loaded as the container would load them: unknown keys are refused by `load` itself."""
    monkeypatch.chdir(tmp_path)
    for variable, value in environment(OURS[name]).items():
        monkeypatch.setenv(variable, value)
    for variable, value in re.findall(r"(DRIFTLINE_\w+)=(\S+)", DOCKERFILE):
        monkeypatch.setenv(variable, value)
    settings = load()
    assert settings.kafka.bootstrap == "kafka:9092"
    assert settings.clickhouse.url.startswith("clickhouse://driftline@clickhouse:9000/")
    assert settings.registry == "/models"
    known = {PREFIX + key.upper().replace(".", "__") for key, _ in describe()}
    given = {variable for variable in environment(OURS[name]) if variable.startswith(PREFIX)}
    assert given <= known
    assert {"DRIFTLINE_KAFKA__BOOTSTRAP", "DRIFTLINE_CLICKHOUSE__URL", "DRIFTLINE_REGISTRY"} <= given
    assert settings.clickhouse.password == "env:CLICKHOUSE_PASSWORD"
    assert environment(OURS[name])["CLICKHOUSE_PASSWORD"] == environment(SERVICES["clickhouse"])["CLICKHOUSE_PASSWORD"]


def test_the_page_asks_the_roles_where_they_listen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for variable, value in environment(OURS["page"]).items():
        monkeypatch.setenv(variable, value)
    settings = load()
    assert settings.page.host == "0.0.0.0"
    assert SERVICES["page"]["ports"] == [f"127.0.0.1:{settings.page.port}:{settings.page.port}"]
    asked = {re.fullmatch(r"http://(\w+):(\d+)/status", url).groups() for url in settings.page.status_urls}
    assert asked == {(name, str(settings.roles.port)) for name in ("worker", "monitor", "store")}
    assert str(settings.roles.port) in SERVICES["worker"]["healthcheck"]["test"][-1]


def test_kafka_is_one_broker_that_clients_reach_inside_and_outside() -> None:
    kafka = environment(SERVICES["kafka"])
    listeners = dict(item.split("://") for item in kafka["KAFKA_LISTENERS"].split(","))
    advertised = dict(item.split("://") for item in kafka["KAFKA_ADVERTISED_LISTENERS"].split(","))
    protocols = dict(item.split(":") for item in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    assert set(listeners) == set(protocols) == {*advertised, "CONTROLLER"}
    assert advertised["INSIDE"] == environment(OURS["worker"])["DRIFTLINE_KAFKA__BOOTSTRAP"]
    assert advertised["OUTSIDE"] == SERVICES["kafka"]["ports"][0].rsplit(":", 1)[0]
    assert kafka["KAFKA_CONTROLLER_QUORUM_VOTERS"] == f"{kafka['KAFKA_NODE_ID']}@kafka{listeners['CONTROLLER']}"
    assert all(value == "1" for name, value in kafka.items() if name.endswith(("REPLICATION_FACTOR", "MIN_ISR")))


def test_kafka_and_clickhouse_are_the_embedded_ones_versions() -> None:
    jars = (ROOT / "driftline" / "broker" / "jars.sha256").read_text()
    version = re.search(r"kafka_2\.13-([\d.]+)\.jar", jars)[1]
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{version}"
    engine = re.search(r"^chdb-core==(\d+\.\d+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)[1]
    assert SERVICES["clickhouse"]["image"] == f"clickhouse/clickhouse-server:{engine}"


def test_grafana_has_what_its_provisioning_names() -> None:
    grafana = environment(SERVICES["grafana"])
    folder = ROOT / "docker" / "grafana" / "provisioning"
    for path in folder.rglob("*.yaml"):
        for variable in re.findall(r"\$(CLICKHOUSE_\w+)", path.read_text()):
            assert variable in grafana, f"{path.name} names ${variable}"
    source = yaml.safe_load((folder / "datasources" / "driftline.yaml").read_text())["datasources"][0]
    assert source["type"] == grafana["GF_PLUGINS_PREINSTALL_SYNC"]
    mounts = dict(volume.removesuffix(":ro").split(":") for volume in SERVICES["grafana"]["volumes"])
    provider = yaml.safe_load((folder / "dashboards" / "driftline.yaml").read_text())["providers"][0]
    assert provider["options"]["path"] == mounts["./grafana/dashboards"]
    home = grafana["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "docker" / "grafana" / "dashboards" / Path(home).name).exists()
    clickhouse = environment(SERVICES["clickhouse"])
    assert grafana["CLICKHOUSE_PASSWORD"] == clickhouse["GRAFANA_CLICKHOUSE_PASSWORD"]
    assert grafana["CLICKHOUSE_DATABASE"] == clickhouse["CLICKHOUSE_DB"]


def test_grafanas_user_reads_only() -> None:
    users = ET.parse(ROOT / "docker" / "clickhouse" / "users.xml").getroot()
    grafana = users.find("users/grafana")
    profile = users.find(f"profiles/{grafana.findtext('profile')}")
    assert profile.findtext("readonly") == "1"
    # The plugin's client sets this on every query, which a read-only user may do only if it is said so.
    assert profile.find("constraints/max_execution_time/changeable_in_readonly") is not None
    assert [query.text for query in grafana.iter("query")] == ["GRANT SELECT ON driftline.*"]
    ET.parse(ROOT / "docker" / "clickhouse" / "config.xml")


def test_every_copied_file_is_there_and_let_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    assert sources == let_through
    for source in sources:
        assert (ROOT / source).exists(), source


def test_stages_are_declared_before_they_are_used() -> None:
    declared: list[str] = []
    for line in DOCKERFILE.splitlines():
        if stage := re.match(r"FROM (\S+) AS (\S+)", line):
            base, name = stage.groups()
            assert base in declared or base.startswith("python:"), base
            declared.append(name)
        for used in re.findall(r"(?:--from=|,from=)([\w-]+)", line):
            assert used in declared, used
    assert declared[-1] == "cpu"  # What a build without --target makes.


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_images_are_not_run_as_root(target: str) -> None:
    stage = DOCKERFILE.split(f" AS {target}\n")[1].split("\nFROM ")[0]
    assert re.findall(r"^USER (.+)$", stage, re.MULTILINE) == ["10001:10001"]
    assert "--require-hashes" in DOCKERFILE


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="needs hadolint")
def test_hadolint_has_nothing_to_say() -> None:
    subprocess.run(["hadolint", str(ROOT / "docker" / "Dockerfile")], check=True)


def test_shell_of_the_dockerfile_parses() -> None:
    joined = re.sub(r"\\\n", " ", DOCKERFILE)
    for command in re.findall(r"^RUN (.+)$", joined, re.MULTILINE):
        shell = re.sub(r"--mount=\S+", "", command)
        subprocess.run(["bash", "-n", "-c", shell], check=True)


def test_no_secret_is_written_down() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if "PASSWORD" in variable and variable != "DRIFTLINE_CLICKHOUSE__PASSWORD":
                assert str(value).startswith("${"), f"{name}: {variable}"
